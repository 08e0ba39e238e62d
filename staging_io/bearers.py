"""Where the secret of a request comes from: asked for each request, because some are replaced while a program runs.

The kubelet writes a new token of a pod into its file long before the old one ends, and both are valid meanwhile.  So
reading the file for each request is enough; after a refusal it is read once more, for the moment in between.
"""

import re
from pathlib import Path
from typing import Final, Protocol

from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import Token

_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # RFC 7515, section 7.1


class Bearer(Protocol):
    """Gives the secrets of one caller; safe to use from several threads."""

    def current(self) -> str | None:
        """Return the secret to send now; None sends none."""

    def after_refusal(self, refused: str | None) -> str | None:
        """Return another secret to try once, after the server did not take `refused`; None when there is none."""


class Fixed:
    """One secret, or none."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def current(self) -> str | None:
        """Return it."""
        return self._text

    def after_refusal(self, refused: str | None) -> str | None:
        """Return None: there is no other."""
        del refused
        return None


class TokenFile:
    """The token in a file, which may be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def current(self) -> str:
        """Return what the file holds now.

        Raises:
            InvalidRequest: it cannot be read or holds no token.
        """
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            msg = f"the token file {self._path} cannot be read: {error.strerror}"
            raise InvalidRequest(msg) from error
        return secret_of(text)

    def after_refusal(self, refused: str | None) -> str | None:
        """Return what the file holds now, unless that was refused."""
        text = self.current()
        return None if text == refused else text


def secret_of(text: str) -> str:
    """Return a token of the staging server or of Kubernetes; white space around it does not count.

    Raises:
        InvalidRequest: it has the form of neither. The text is not repeated.
    """
    stripped = text.strip()
    return stripped if _JWT.fullmatch(stripped) else Token.parse(stripped).text


_a: type[Bearer] = Fixed
_b: type[Bearer] = TokenFile
