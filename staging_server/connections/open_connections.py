"""The connections of a process: how many there may be, and who goes when there are too many.

Whoever waits for its client's next request costs nothing but its place, so the one that has waited longest makes room
for a new one.  A client that opens connections and says nothing, or sends heads byte by byte, thereby only drives out
its own.  When all are at work a few more are let in, on which nothing but the probes is answered: an orchestrator must
not restart a server because it is busy.
"""

import heapq
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from staging_server.connections.pace import Paced

_AT_ONCE: Final = 64
"""Connections closed at a time: finding the longest waiting ones looks at all."""

_RESERVE: Final = 32
"""Connections beyond the limit, for probes."""


class Member(Paced, Protocol):
    """An open connection, or one whose TLS handshake is under way."""

    @property
    def waits_since(self) -> float | None:
        """When it began to wait for its client, by the loop's clock; None while it works for it."""
        ...


class OpenConnections:
    """Those of one process; `most` is the limit, and `changed` is told how many there are now."""

    def __init__(self, *, most: int, changed: Callable[[int], None] = lambda _: None) -> None:
        self._most = most
        self._changed = changed
        self._members: dict[Member, None] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members))

    @property
    def has_room(self) -> bool:
        """Whether one more is within the limit."""
        return len(self._members) < self._most

    @property
    def is_full(self) -> bool:
        """Whether not even a probe is let in."""
        return len(self._members) >= self._most + _RESERVE

    def add(self, member: Member) -> None:
        """Count one more."""
        self._members[member] = None
        self._changed(len(self._members))

    def discard(self, member: Member) -> None:
        """Count one less; harmless when it is not there."""
        self._members.pop(member, None)
        self._changed(len(self._members))

    def make_room(self) -> int:
        """Close those that have waited longest, when the limit is reached; return how many."""
        if self.has_room:
            return 0
        waiting = [(since, id(member), member) for member in self if (since := member.waits_since) is not None]
        longest = heapq.nsmallest(min(_AT_ONCE, 1 + self._most // 16), waiting)
        for _, _, member in longest:
            member.give_up()
            self.discard(member)
        return len(longest)
