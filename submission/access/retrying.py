"""Trying a request again after a transient failure, for as long as the settings say.

Which failures are transient is said by the error types; `Retry-After` of the server wins over our own back-off.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from staging_protocol.errors import StagingError

T = TypeVar("T")

_LONGEST_WAIT: Final = 60.0
"""Seconds; a server that asks for more is answered with an error now rather than with a wait nobody expects."""


def retried(call: Callable[[], T], *, seconds: float, notice: Callable[[str], None] | None = None) -> T:
    """Return what `call` returns, calling it again after transient failures for up to `seconds`.

    Args:
        call: the request; must be safe to repeat.
        seconds: time since the first failure after which the last error is raised; 0 means one attempt.
        notice: is told why there will be another attempt.
    """
    try:
        return call()
    except StagingError as error:
        if seconds <= 0 or not error.retryable:
            raise
        return _again(call, after=error, seconds=seconds, notice=notice)


def _again(call: Callable[[], T], *, after: StagingError, seconds: float, notice: Callable[[str], None] | None) -> T:
    """Go on after the failure `after`, which is stamina's first attempt; most requests never come here."""
    import stamina
    from stamina import instrumentation

    # Its default hook prints to standard output, which is for data.
    instrumentation.set_on_retry_hooks([])
    failures = [after]
    on = Backoff(notice=notice)
    for attempt in stamina.retry_context(on=on, attempts=None, timeout=seconds, wait_initial=0.2, wait_max=5.0):
        with attempt:
            if failures:
                raise failures.pop()
            return call()
    raise AssertionError  # stamina raises the last error itself


class Backoff:
    """Says whether to go on, and tells the person who waits why (once for the same reason)."""

    def __init__(self, *, notice: Callable[[str], None] | None) -> None:
        self._notice = notice
        self._last = ""

    def __call__(self, error: Exception) -> bool | float:
        """Return whether to try again, or the seconds that the server asked to wait."""
        if not isinstance(error, StagingError) or not error.retryable:
            return False
        if error.retry_after is not None and error.retry_after > _LONGEST_WAIT:
            return False
        if self._notice is not None and error.detail != self._last:
            self._last = error.detail
            self._notice(f"{error.detail}; trying again")
        return True if error.retry_after is None else max(error.retry_after, 0.05)
