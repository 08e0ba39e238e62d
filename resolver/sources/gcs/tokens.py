"""The token of one identity: asked for once by whoever needs it first, renewed before it ends, shared by all threads.

A failure to get one is shared too by those who waited for it, so that sixteen threads do not wait sixteen times.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from staging_protocol.errors import StagingError

SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_only"
"""What tokens are asked for: nothing but reading is ever done."""

_EARLY: Final = 225.0
"""Seconds before its end from which a token is renewed, as Google's library does: clocks differ, requests take time."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What proves an identity: header fields, and for how many seconds from now on they do."""

    headers: Mapping[str, str]
    seconds: float

    def __repr__(self) -> str:
        """Show nothing of the secret."""
        return f"<Token for {self.seconds:.0f} s>"


class Issuer(Protocol):
    """Where tokens of an identity come from."""

    def issue(self) -> Token:
        """Get a new token.

        Raises:
            Unauthenticated: there is no such identity, or it is not accepted.
            TransientError: whoever issues tokens does not answer now.
        """

    def describe(self) -> str:
        """Return in a few words who it is and where that was found; it may ask, and never raises."""


class Tokens:
    """Keeps the token of one issuer."""

    def __init__(self, issuer: Issuer, *, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._now = now
        self._lock = threading.Lock()
        self._asked = 0
        self._token: Token | None = None
        self._renew_at = 0.0
        self._failure: StagingError | None = None

    def headers(self) -> Mapping[str, str]:
        """Return the header fields to send.

        Raises:
            StagingError: what the issuer raises.
        """
        asked = self._asked
        with self._lock:
            if self._token is None or self._now() >= self._renew_at:
                if self._failure is not None and self._asked != asked:
                    raise self._failure
                self._token = self._renewed()
            return self._token.headers

    def reject(self, headers: Mapping[str, str]) -> None:
        """Forget the token with these headers, which was refused although its time is not over."""
        with self._lock:
            if self._token is not None and self._token.headers is headers:
                self._token = None

    def describe(self) -> str:
        """Return whose token it is."""
        return self._issuer.describe()

    def _renewed(self) -> Token:
        self._failure = None
        try:
            token = self._issuer.issue()
        except StagingError as error:
            self._failure = error
            raise
        finally:
            self._asked += 1
        self._renew_at = self._now() + max(token.seconds - _EARLY, token.seconds / 2)
        return token
