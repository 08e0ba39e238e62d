"""How long a waiting goes on while the API does not answer: for ever; and while it refuses: for some seconds."""

import math
import time
from collections.abc import Callable
from typing import Final

from staging_protocol.errors import Denied, StagingError, Unauthenticated

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 15.0
_TOLD_AFTER: Final = 2
"""Failures in a row; a connection that breaks once is everyday life."""

_REFUSALS: Final = 5
"""Refusals in a row that end the waiting: an API server that starts refuses everybody until it knows their rights."""


class Patience:
    """Counts failures in a row."""

    def __init__(self, say: Callable[[str], None], *, ends: float = math.inf) -> None:
        """`ends` is the time, by the monotonic clock, at which nobody waits any longer."""
        self._say = say
        self._ends = ends
        self._failures = 0
        self._is_told = False

    @property
    def is_tried(self) -> bool:
        """Whether it failed more than once: then nobody knows what was missed."""
        return self._failures >= _TOLD_AFTER

    def answered(self) -> None:
        """Note that the API answers."""
        if self._is_told:
            self._say("the Kubernetes API answers again")
            self._is_told = False

    def lasted(self) -> None:
        """Note that a watch did not break."""
        self.answered()
        self._failures = 0

    def wait_after(self, error: StagingError) -> None:
        """Wait before the next attempt, longer each time.

        Raises:
            StagingError: `error`, where waiting does not help.
        """
        self._failures += 1
        if isinstance(error, Denied | Unauthenticated):
            if self._failures >= _REFUSALS:
                raise error
        elif not error.retryable:
            raise error
        if self._failures == _TOLD_AFTER:
            self._say(f"{error.detail}; the job is not affected, still waiting")
            self._is_told = True
        pause = max(min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE), error.retry_after or 0.0)
        time.sleep(max(min(pause, self._ends - time.monotonic()), 0.0))
