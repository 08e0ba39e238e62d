"""The ranges that a file is fetched in.

They are made when the size is known, and made smaller when threads have nothing to do while a part arrives slowly: then
its second half becomes a part of its own.  Whoever receives a part claims each piece before it reads it, so nothing is
taken away that is on its way.
"""

import threading
import time
from collections.abc import Mapping
from math import inf
from typing import Final

import msgspec

_PARTS: Final = 32
"""Parts of a large file: enough for all connections to have some and to end at about the same time."""

_GROWTH: Final = 4
"""Times that parts grow at most: a killed run loses what it has of each part, so 32 MiB with the default settings."""

_SHARES: Final = 32
"""A part is not halved below this share of the smallest size: 256 KiB with the default settings, a buffer."""

_SLOW: Final = 1.0
"""Seconds that a part has been arriving, and will at least: else it is not worth a further request, and the connection
that is closed before its end."""


class Part(msgspec.Struct, eq=False):
    """A range of the file; everything before `at` was written.  `stop` is None until the end is known.

    Bytes before `claimed` are on their way.  `since` and `from_` are time and position when they began to arrive.
    """

    start: int
    stop: int | None
    at: int = -1
    claimed: int = -1
    since: float = inf
    from_: int = 0

    def __post_init__(self) -> None:
        self.at = max(self.at, self.start)

    @property
    def is_done(self) -> bool:
        """Whether all its bytes were written."""
        return self.at == self.stop

    def seconds_left(self, now: float) -> float:
        """Return how long the rest takes at the present rate; 0 when that cannot be told yet, or nothing is left."""
        arrived = self.at - self.from_
        if self.stop is None or arrived <= 0 or now - self.since < _SLOW:
            return 0.0
        return (self.stop - self.at) * (now - self.since) / arrived


class Parts:
    """The parts of one try: those that an earlier run has left, or a first one until the size is known."""

    def __init__(
        self, *, promised: int | None, smallest: int, size: int | None = None, done: Mapping[int, int] | None = None
    ) -> None:
        """`promised` is the size by the manifest; `size` and `done` are what an earlier run has left: start to stop."""
        self._smallest = smallest
        self._goes_on = size is not None
        self._lock = threading.Lock()
        self._open = 1
        self._first_open = 0
        self._divisible = False
        stop = smallest if promised is None else min(promised, part_size_for(promised, smallest=smallest))
        self.all: list[Part] = [Part(0, stop)] if size is None else self._remaining(size, done or {})

    @property
    def first(self) -> Part:
        """The part to begin with."""
        return next((part for part in self.all if not part.is_done), self.all[0])

    @property
    def received(self) -> int:
        """Bytes that are in the file."""
        return sum(part.at - part.start for part in tuple(self.all))

    def divide(self, part: Part, size: int | None, *, is_whole: bool) -> list[Part]:
        """Return what is to fetch besides `part`, now that the size is known, or known to be unknown.

        `is_whole` says that the answer which told it brings everything.
        """
        if self._goes_on:
            further = [other for other in self.all if other is not part and not other.is_done]
        else:
            part.stop = size if size is None or part.stop is None or is_whole else min(part.stop, size)
            further = [] if size is None or part.stop is None else self._divided(part.stop, size)
            self.all += further
        self._divisible = bool(further)  # else the source may know no ranges
        self._open = 1 + len(further)
        return further

    def claim(self, part: Part, most: int) -> int:
        """Return how many bytes to receive next for `part`."""
        with self._lock:
            if part.claimed < 0:
                part.since, part.from_ = time.monotonic(), part.at
            count = most if part.stop is None else min(most, part.stop - part.at)
            part.claimed = part.at + count
            return count

    def split(self, now: float) -> Part | None:
        """Halve what is missing of the part that takes longest; return the new part, to be fetched too."""
        slowest = max(self.all, key=lambda part: part.seconds_left(now))
        with self._lock:
            stop, least = slowest.stop, max(1, self._smallest // _SHARES)
            if not self._divisible or slowest.seconds_left(now) < _SLOW or stop is None:
                return None
            if stop - slowest.claimed < 2 * least:
                return None
            slowest.stop = (slowest.claimed + stop) // 2
            other = Part(slowest.stop, stop)
            self.all.insert(self.all.index(slowest) + 1, other)
            self._open += 1
            return other

    def close(self) -> bool:
        """Note that a part is done; return whether it was the last one that was missing."""
        with self._lock:
            self._open -= 1
            return self._open == 0

    def frontier(self) -> int:
        """Return the position before which everything was written; for one thread that asks again and again."""
        while self._first_open < len(self.all) - 1 and self.all[self._first_open].is_done:
            self._first_open += 1
        return self.all[self._first_open].at

    def _remaining(self, size: int, done: Mapping[int, int]) -> list[Part]:
        found, at = list[Part](), 0
        for start, stop in sorted(done.items()):
            found += [*self._divided(at, start, size=size), Part(start, stop, at=stop)]
            at = stop
        return found + self._divided(at, size)

    def _divided(self, start: int, stop: int, *, size: int | None = None) -> list[Part]:
        step = part_size_for(size or stop, smallest=self._smallest)
        return [Part(at, min(at + step, stop)) for at in range(start, stop, step)]


def part_size_for(size: int, *, smallest: int) -> int:
    """Return the size of the parts of a file: parts of large files are larger, because each costs a request."""
    return min(max(smallest, size // _PARTS), smallest * _GROWTH)
