"""How long a client is waited for while it sends a body.

Only waiting counts: what the server itself needs for its disk, or until there is a place, is not the client's fault.
"""

from typing import Final

from staging_protocol.errors import RequestTimeout
from staging_server.settings import TimeoutSettings


class Patience:
    """With one client: at most `stall` seconds for the next byte, and in all as long as a slow client may take.

    The second bound is `stall` seconds and those that the bytes need at `slowest_rate`, so that a byte now and then
    does not hold a place for days.
    """

    def __init__(self, timeouts: TimeoutSettings) -> None:
        self._stall: Final = timeouts.stall
        self._slowest: Final = timeouts.slowest_rate
        self._waited = 0.0

    def left(self, received: int) -> float:
        """Return for how many seconds the next byte may be waited for, after `received` bytes.

        Raises:
            RequestTimeout: for none.
        """
        left = self._stall + received / self._slowest - self._waited
        if left <= 0:
            msg = f"only {received} bytes of the body arrived in {self._waited:.0f} s"
            raise RequestTimeout(msg)
        return min(self._stall, left)

    def waited(self, seconds: float) -> None:
        """Take note that bytes came after so many seconds."""
        self._waited += seconds

    def lost(self) -> RequestTimeout:
        """Return the error of a client of whom no byte came in the time that was left."""
        return RequestTimeout(f"no byte of the body arrived for {self._stall:g} s, or too few before")
