"""How many parts are fetched at once: found out by trying, because it depends on both ends and all between.

Work per second is measured in windows.  While more threads bring more, more are hired; a step that did not pay is taken
back, and the next try waits.  Steps are large while this process mostly waits (for a far or slow server), small while
it computes, and none are made once it computes on all processors: then threads only take time from one another.
Many small files from a near server are another case: the interpreter makes their requests, and one thread at a time has
it.  When that is what the run waits for, steps go down, as long as they cost nothing.
A server that asks for patience (429, 503) halves the number at once.
"""

from typing import Final

START: Final = 8
"""Threads at the start for that many files.  Small files wait for the server more than for us: 200 of 100 KiB on two
busy processors took a fifth less time than with 4, at the same processor time."""

START_ALONE: Final = 2
"""Threads at the start for one file.  Writers of one file wait for one another, spinning (ext4 lets one write at a
time): 1 GiB from a near server took 1.8 s of processor time with 2 threads, 2.3 with 8."""

WINDOW: Final = 0.2
"""Seconds; shorter windows measure noise, longer ones leave a far server idle: many jobs have all files in two."""

REQUEST_COST: Final = 256 * 1024
"""Bytes that one request counts for, so that many small files count as work too."""

_GAIN: Final = 1.1
"""A step up has to bring at least a tenth more."""

_REST: Final = 20
"""Windows without a try after a step that did not pay."""

_WAITING: Final = 0.5
"""Processors; a process that uses less is mostly waiting."""

_INTERPRETER: Final = 0.85
"""Processors; small files that use more wait for the interpreter.  Threads then hand it to one another at each system
call: 10,000 of 10 KiB from a near web server took 4.8 s with 2 threads, 5.3 with 4, 5.8 with 8 (one processor in use).
From an S3 that needs a processor itself they also wait for it: 5,000 took 5.1 s with 2 threads, 4.1 with 8 (0.7)."""

_FULL: Final = 0.9
"""Share of all processors from which on there is nothing left for a further thread."""


class Parallelism:
    """The limit on threads; `observe` and `push_back` move it."""

    def __init__(self, *, maximum: int, processors: int = 2, files: int = START) -> None:
        self.maximum = maximum
        self.limit = min(max(START_ALONE, min(files, START)), maximum)
        self._processors = processors
        self._last: tuple[float, int, int, float] | None = None
        self._best = 0.0
        self._raised = False
        self._lowered = 0
        self._rest = 0

    def observe(self, *, received: int, files: int, computed: float, now: float) -> None:
        """Take the bytes received, files done and processor seconds used since the start, at the time `now`.

        At the end of each window the limit is decided anew.
        """
        if self._last is None:
            self._last = now, received, files, computed
            return
        then, received_before, files_before, computed_before = self._last
        if now - then >= WINDOW:
            self._last = now, received, files, computed
            size, requests = received - received_before, (files - files_before) * REQUEST_COST
            self._decide(
                rate=(size + requests) / (now - then),
                busy=(computed - computed_before) / (now - then),
                is_small=size < requests,
            )

    def push_back(self) -> None:
        """Halve the limit: the server has too much to do."""
        self.limit = max(1, self.limit // 2)
        self._raised, self._lowered, self._rest, self._best = False, 0, _REST, 0.0

    def _decide(self, *, rate: float, busy: float, is_small: bool) -> None:
        """Decide by the rate of work, the processors in use, and whether the files are smaller than a request costs."""
        raised, lowered = self._raised, self._lowered
        self._raised, self._lowered = False, 0
        if raised and rate <= self._best * _GAIN:
            self.limit = max(1, self.limit - max(1, self.limit // 3))
            self._rest = _REST
        elif lowered and rate * _GAIN < self._best:
            self.limit += lowered
            self._rest = _REST
        elif self._rest > 0:
            self._rest -= 1
        elif is_small and busy > _INTERPRETER and self.limit > START_ALONE:
            self._best, self._lowered = rate, self.limit // 2
            self.limit -= self._lowered
        elif self.limit < self.maximum and busy < self._processors * _FULL:
            step = self.limit if busy < _WAITING else max(1, self.limit // 2)
            self._best, self._raised = rate, True
            self.limit = min(self.maximum, self.limit + step)
