"""The one retry policy: exponential waits with jitter, a server's Retry-After, one deadline over all.

What may be tried again is said by the error's class (`TransientError`), never decided here.  Bytes that arrived start
the count anew: a slow and shaky source that moves on is not given up before the deadline.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from resolver.settings import RetrySettings
from staging_protocol.errors import DeadlineExceeded, StagingError, Terminated, TransientError

T = TypeVar("T")

Retrying = Callable[[str, StagingError, float], None]
"""Told of every wait: what is tried again, why, and in how many seconds."""


class Clock:
    """The time that is left, and whether the run goes on.  `end` wakes every wait."""

    def __init__(self, seconds: float) -> None:
        self._total = seconds
        self._end = time.monotonic() + seconds
        self._ended = threading.Event()

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._end - time.monotonic()

    def check(self) -> None:
        """Raise Terminated or DeadlineExceeded when the run is over."""
        if self._ended.is_set():
            msg = "the run was ended"
            raise Terminated(msg)
        if self.left <= 0:
            raise self.exceeded()

    def exceeded(self, *, last: StagingError | None = None) -> DeadlineExceeded:
        """Return the error for a run that took too long; `last` is what it was still trying to mend."""
        why = "" if last is None else f"; last error: {last.detail}"
        return DeadlineExceeded(f"resolving took longer than {self._total:.0f} s{why}")

    def end(self) -> None:
        """Stop every wait and check."""
        self._ended.set()

    def sleep(self, seconds: float) -> None:
        """Wait; raise when the run ends meanwhile."""
        self._ended.wait(seconds)
        self.check()


class Attempts(msgspec.Struct):
    """The tries of one thing."""

    name: str
    settings: RetrySettings
    clock: Clock
    retrying: Retrying
    failed: int = 0

    def progressed(self) -> None:
        """Forget the failures so far: something arrived."""
        self.failed = 0

    def wait_after(self, error: TransientError) -> None:
        """Wait before the next try.

        Raises:
            TransientError: `error` itself, when it was tried often enough.
            DeadlineExceeded: the wait would end after the deadline.
            Terminated: the run ended meanwhile.
        """
        self.clock.check()
        self.failed += 1
        if self.failed >= self.settings.attempts:
            raise error
        import random  # 3 ms, and most runs never wait

        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - it spreads load and guards nothing
        seconds = wait_before_try(self.failed, error=error, settings=self.settings, jitter=jitter)
        if seconds >= self.clock.left:
            raise self.clock.exceeded(last=error) from error
        self.retrying(self.name, error, seconds)
        self.clock.sleep(seconds)


def wait_before_try(failed: int, *, error: StagingError, settings: RetrySettings, jitter: float) -> float:
    """Return the seconds to wait after `failed` failures; `jitter` is from 0.5 to 1."""
    grown = min(settings.longest_wait, settings.first_wait * 2.0 ** min(failed - 1, 60))
    # Whoever was sent away together shall not come back together, but never before the time that the server named.
    return max(grown * jitter, (error.retry_after or 0.0) * (2.0 - jitter if error.retry_after else 1.0))


def persistently(call: Callable[[], T], *, attempts: Attempts) -> T:
    """Return what `call` returns, trying again after each TransientError as `attempts` allows."""
    while True:
        try:
            return call()
        except TransientError as error:
            attempts.wait_after(error)
