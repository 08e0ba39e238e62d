"""Whose turn it is to be sent bytes, when more connections want some than the event loop can serve at once.

The kernel tells which sockets have room.  Serving them in that order is fair to connections, so a namespace with a
thousand readers would have a thousand times the share of one with a single reader, and everything else on the event
loop would wait until each of them had its piece.

So while there is little to do everybody is served at once.  When that took longer than a slice of time in one round of
the event loop, the rest goes into queues, one for each owner, and owners take turns, for a slice in each round.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final

_SLICE: Final = 0.002
"""Seconds of sending in a round: what a small request has to wait for."""


class SendTurns:
    """The turns of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        self._ends: float | None = None
        self._last: object = None

    def may_go_now(self, who: object) -> bool:
        """Tell whether `who`, a connection, may be sent a piece without waiting for a turn."""
        if self._queues:
            return False
        if who is self._last:  # a round has passed in which nobody else wanted anything: a common case, kept cheap
            return True
        self._last = who
        now = self._loop.time()
        if self._ends is None:
            self._ends = now + _SLICE
            self._loop.call_soon(self._next_round)
        return now < self._ends

    def ask(self, owner: Hashable, step: Callable[[], None]) -> None:
        """Call `step`, which sends one piece, when it is the turn of `owner`."""
        if not self._queues:
            self._loop.call_soon(self._serve)
        self._queues.setdefault(owner, deque()).append(step)

    def _next_round(self) -> None:
        self._ends = None

    def _serve(self) -> None:
        end = self._loop.time() + _SLICE
        while self._queues:
            owner, steps = next(iter(self._queues.items()))
            step = steps.popleft()
            if steps:
                self._queues.move_to_end(owner)
            else:
                del self._queues[owner]
            step()
            if self._loop.time() >= end:
                break
        if self._queues:
            self._loop.call_soon(self._serve)


class _OfLoop:
    """The turns of the event loop that was asked last; there is one in a process, but in tests."""

    def __init__(self) -> None:
        self._turns: SendTurns | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> SendTurns:
        loop = asyncio.get_running_loop()
        if self._turns is None or self._loop is not loop:
            self._turns, self._loop = SendTurns(loop), loop
        return self._turns


turns_of_loop: Final = _OfLoop()
