"""The server's memory over time, and whether it grows: a straight line through the second half of the samples."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import linear_regression
from typing import Final

from benchmarks.scenario import MIB
from benchmarks.trees import pss_of_tree

_EVERY: Final = 0.5
"""Seconds between two looks; each takes a millisecond."""


@dataclass(kw_only=True)
class Memory:
    """Samples of PSS: seconds from the start, and MiB."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    @property
    def highest(self) -> float:
        """The highest sample, MiB."""
        return max(self.mib)

    @property
    def growth(self) -> float:
        """The slope of the second half, MiB a minute; the first half is warming up."""
        line = self.line
        return 60 * line[0]

    @property
    def line(self) -> tuple[float, float]:
        """Slope (MiB a second) and intercept of a linear fit over the second half."""
        half = len(self.seconds) // 2
        fit = linear_regression(self.seconds[half:], self.mib[half:])
        return fit.slope, fit.intercept


@contextmanager
def watched_memory(pid: int) -> Iterator[Memory]:
    """Take samples of a process and all below it until the block ends."""
    memory, ended = Memory(), threading.Event()
    thread = threading.Thread(target=_watch, args=(pid, memory, ended), daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def _watch(pid: int, memory: Memory, ended: threading.Event) -> None:
    began = time.monotonic()
    while not ended.wait(_EVERY):
        memory.mib.append(pss_of_tree(pid) / MIB)
        memory.seconds.append(time.monotonic() - began)


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 when all have the same, 1/n when one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
