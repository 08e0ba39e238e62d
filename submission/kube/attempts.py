"""A call that may be tried again, and what is known of the attempts that failed."""

from collections.abc import Callable
from typing import Final

from staging_protocol.errors import StagingError, TooManyRequests
from submission.kube.answers import KubeObject
from submission.kube.errors import Conflict

RETRY_SECONDS: Final = 30.0
"""An API server that is restarted, or chosen anew, is back in less."""


class Attempts:
    """Calls `send` each time that it is called."""

    def __init__(self, send: Callable[[], KubeObject], *, on_conflict: type[StagingError] = Conflict) -> None:
        """`on_conflict` is what a Conflict means here; one that is no transient error is not worth another attempt."""
        self._send = send
        self._on_conflict = on_conflict
        self.is_doubtful = False
        """Whether an attempt failed that may have been carried out all the same."""

    def __call__(self) -> KubeObject:
        """Try once."""
        try:
            return self._send()
        except TooManyRequests:  # which was said before anything was done
            raise
        except Conflict as error:
            raise self._on_conflict(error.detail) from error
        except StagingError as error:
            self.is_doubtful |= error.retryable
            raise
