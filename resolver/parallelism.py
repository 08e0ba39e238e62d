"""How many parts are fetched at once: found out by trying, because it depends on both ends and all between.

Work per second is measured in windows.  While more threads bring more, more are hired; a step that did not pay is taken
back, and the next try waits.  A server that asks for patience (429, 503) halves the number at once.
"""

from dataclasses import dataclass
from typing import Final

START: Final = 4
"""Threads at the start: enough to hide one round trip, few enough for two processors."""

WINDOW: Final = 0.5
"""Seconds; shorter windows measure noise."""

REQUEST_COST: Final = 256 * 1024
"""Bytes that one request counts for, so that many small files count as work too."""

_GAIN: Final = 1.1
"""A step up has to bring at least a tenth more."""

_REST: Final = 10
"""Windows without a try after a step that did not pay."""


@dataclass(slots=True, kw_only=True)
class Parallelism:
    """The limit on threads; `observe` and `push_back` move it."""

    maximum: int
    limit: int = 0
    _work: int = 0
    _since: float | None = None
    _best: float = 0.0
    _raised: bool = False
    _rest: int = 0

    def __post_init__(self) -> None:
        self.limit = self.limit or min(START, self.maximum)

    def observe(self, *, work: int, now: float) -> None:
        """Take the work done since the start, at the time `now`; decide at the end of each window."""
        if self._since is None:
            self._since, self._work = now, work
        elif now - self._since >= WINDOW:
            rate = (work - self._work) / (now - self._since)
            self._since, self._work = now, work
            self._decide(rate)

    def push_back(self) -> None:
        """Halve the limit: the server has too much to do."""
        self.limit = max(1, self.limit // 2)
        self._raised, self._rest, self._best = False, _REST, 0.0

    def _decide(self, rate: float) -> None:
        paid = rate > self._best * _GAIN
        if self._raised and not paid:
            self.limit = max(1, self.limit - max(1, self.limit // 3))
            self._raised, self._rest = False, _REST
        elif self._rest > 0:
            self._raised, self._rest = False, self._rest - 1
        elif self.limit < self.maximum:
            self._best = rate
            self.limit = min(self.maximum, self.limit + max(1, self.limit // 2))
            self._raised = True
