"""A delegation token from a file, read for each request, because tokens are replaced while programs run.

Three things are understood: the text that WebHDFS sends tokens in (`urlString`), the JSON in which it answers
GETDELEGATIONTOKEN, and the file that `hdfs fetchdt` writes (Hadoop's Credentials, `writeTokenStorageFile`).
The text is the token's fields as Hadoop writes them, in base64 for URLs.
"""

import base64
import re
from pathlib import Path
from typing import Final

import msgspec

from staging_protocol.errors import InvalidRequest
from staging_protocol.wire import decode

_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{8,}={0,2}")
_STORAGE: Final = b"HDTS\x00"
"""How a file of tokens begins, in the form that every Hadoop writes."""
_KINDS: Final = frozenset({b"HDFS_DELEGATION_TOKEN", b"WEBHDFS delegation", b"SWEBHDFS delegation"})
_MAX_SIZE: Final = 1024 * 1024


class _UrlToken(msgspec.Struct, frozen=True):
    text: str = msgspec.field(name="urlString")


class _Answer(msgspec.Struct, frozen=True):
    token: _UrlToken = msgspec.field(name="Token")


def read_token(path: Path, *, nameservice: str) -> str:
    """Return the token for `nameservice` as WebHDFS takes it.

    Raises:
        InvalidRequest: the file cannot be read, or has no such token.  What it has is not repeated.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE)
    except OSError as error:
        msg = f"the delegation token {path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    text = _of_storage(data, nameservice=nameservice) if data.startswith(_STORAGE) else _of_text(data)
    if text is None:
        msg = f"{path} holds no delegation token of {nameservice}; `hdfs fetchdt` writes one"
        raise InvalidRequest(msg)
    return text


def _of_text(data: bytes) -> str | None:
    try:
        text = data.decode("ascii").strip()
        text = decode(text, into=_Answer).token.text if text.startswith("{") else text
    except (UnicodeDecodeError, InvalidRequest):
        return None
    return text if _TEXT.fullmatch(text) else None


def _of_storage(data: bytes, *, nameservice: str) -> str | None:
    reader = _Writables(data, at=len(_STORAGE))
    try:
        tokens = [reader.token() for _ in range(reader.number())]
    except (IndexError, ValueError):
        return None
    tokens = [token for token in tokens if token.kind in _KINDS]
    of_name = [token for token in tokens if token.service == f"ha-hdfs:{nameservice}".encode()]
    chosen = tokens if len(tokens) == 1 else of_name[:1]
    return base64.urlsafe_b64encode(chosen[0].whole).decode().rstrip("=") if chosen else None


class _Stored(msgspec.Struct, frozen=True):
    whole: bytes
    kind: bytes
    service: bytes


class _Writables:
    """Reads what Hadoop's Writables write (`WritableUtils.writeVInt`, `Text`, `Token`)."""

    def __init__(self, data: bytes, *, at: int) -> None:
        self._data = data
        self._at = at

    def number(self) -> int:
        """A number of variable size; the ones here are sizes and counts, never negative."""
        first = int.from_bytes(self._take(1), "big", signed=True)
        return first if first >= 0 else int.from_bytes(self._take(-112 - first), "big")

    def text(self) -> bytes:
        return self._take(self.number())

    def token(self) -> _Stored:
        self.text()  # its alias
        start = self._at
        _identifier, _password, kind, service = self.text(), self.text(), self.text(), self.text()
        return _Stored(whole=self._data[start : self._at], kind=kind, service=service)

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self._at:
            raise ValueError
        self._at += count
        return self._data[self._at - count : self._at]
