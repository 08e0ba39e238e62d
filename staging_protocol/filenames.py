"""File names that stay in their folder.

A `FileName` is one path component: whatever it was made of, `folder / name` lies directly in `folder`.
"""

import unicodedata
from typing import Final, Self

from staging_protocol.errors import InvalidRequest

MAX_BYTES: Final = 255
"""What Linux file systems take for one component, in bytes of UTF-8 (NAME_MAX)."""

# Marks that turn the direction of text show `\u202egnp.jar` as `raj.png`.
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORBIDDEN: Final = frozenset("/\\") | _DIRECTIONS
# Surrogates cannot be encoded; control and line-separator characters forge lines in logs and lists.
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class FileName(str):
    """The name of one file or folder, without any separator."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take `text` as a file name.

        Raises:
            InvalidRequest: it is empty, `.` or `..`, too long, or has a separator or control character.
        """
        reason = _why_not(text)
        if reason is not None:
            msg = f"{text[:80]!r} cannot be a file name: {reason}"
            raise InvalidRequest(msg)
        return super().__new__(cls, text)

    @property
    def collision_key(self) -> str:
        """Equal for two names that some file system takes for the same one (letter case, Unicode form)."""
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", self).casefold())


def _why_not(text: str) -> str | None:
    if not text or text in {".", ".."}:
        return "it is empty, '.' or '..'"
    if text != text.strip():
        return "it begins or ends with white space"
    for character in text:
        if character in _FORBIDDEN or unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
            return f"it contains {character!r}"
    if len(text.encode()) > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    return None
