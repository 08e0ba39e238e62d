"""Access keys that need no SDK: those in files of their own, and none.

Files are read again when S3 no longer takes what they held: a Secret that was replaced counts from then on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import S3AccessKey

_SHOWN: Final = 4
"""Letters of each end of an access key's id that are shown, which is a name and no secret; of short ones, fewer."""


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """What requests are signed with."""

    id: str
    secret: str
    session_token: str | None = None

    @property
    def name(self) -> str:
        """The id's first and last letters: enough to know it again."""
        shown = min(_SHOWN, len(self.id) // 4)
        return f"{self.id[:shown]}…{self.id[len(self.id) - shown :]}"

    def __repr__(self) -> str:
        """Show nothing of the secret."""
        return f"<AccessKey {self.name}>"


class Keys(Protocol):
    """Where the access key of some buckets comes from.  Safe to use from several threads."""

    def current(self) -> AccessKey | None:
        """Return the key to sign with now; None: requests are not signed.

        Raises:
            Unauthenticated: there is none, or whoever gives it refuses.
            InvalidRequest: what is configured makes no sense.
            TransientError: whoever gives it does not answer now.
        """

    def renewed(self, refused: AccessKey) -> AccessKey | None:
        """Look for another key than `refused`, which S3 did not accept; None: there is no other."""

    def describe(self) -> str:
        """Return whose key it is and where it was found, without a secret; it never raises."""


class Nobody:
    """Asks without a key."""

    def current(self) -> None:
        """Return none."""

    def renewed(self, refused: AccessKey) -> None:
        """Return none."""

    def describe(self) -> str:
        """Return that nobody asks."""
        return "anonymous"


class KeyFiles:
    """A key in files, one for each of its parts."""

    def __init__(self, files: S3AccessKey, *, place: Callable[[str], Path], read: Callable[[str], str]) -> None:
        """`place` and `read` say where a credential file of the settings lies, and what is in it."""
        self._files = files
        self._place = place
        self._read = read
        self._key: AccessKey | None = None

    def current(self) -> AccessKey:
        """Return what the files held when they were read last."""
        if self._key is None:
            self._key = self._read_all()
        return self._key

    def renewed(self, refused: AccessKey) -> AccessKey | None:
        """Read the files again."""
        self._key = key = self._read_all()
        return None if key == refused else key

    def describe(self) -> str:
        """Return the key's name, and that of its file."""
        try:
            return f"access key {self.current().name} in {self._place(self._files.id)}"
        except InvalidRequest as error:
            return f"nobody: {error.detail}"

    def _read_all(self) -> AccessKey:
        token = self._files.session_token
        return AccessKey(
            id=self._read(self._files.id), secret=self._read(self._files.secret),
            session_token=None if token is None else self._read(token),
        )  # fmt: skip


_: tuple[type[Keys], ...] = (Nobody, KeyFiles)
