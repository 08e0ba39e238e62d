"""HTTP/1.1 (RFC 9112) for requests whose body is in memory: what resolvers send, over and over.

This module writes requests and reads answers; `connection` moves their bytes, `direct` keeps the connections.  It knows
what our peers send: sizes, chunked bodies, bodies that end with the connection, interim answers.  It inflates nothing
and follows nothing.  Why it is ours, and what it costs, is in docs/decisions/0004-http-of-our-own-for-pods.md.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import SplitResult, quote

from staging_io.connection import BadAnswer, Connection
from staging_protocol.errors import InvalidRequest

_STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-9]\d\d)(?: .*)?")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f]")
_REPEATABLE: Final = frozenset({"GET", "HEAD"})
_BODILESS: Final = frozenset({204, 304})
_DIGITS: Final = 18
"""Most digits of a Content-Length: an exabyte. Python refuses to read thousands of them, with an error of its own."""

_INTERIM: Final = 20
"""Interim answers, and trailers of a chunked body, after which a peer only keeps us busy."""


class Headers(Mapping[str, str]):
    """The headers of an answer, found in any letter case; repeated ones are joined by a comma (RFC 9110, 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, lines: list[str]) -> None:
        self._values: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            key = _key(name if colon else "")
            value = value.strip(" \t")
            self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or `default`; the one of `Mapping` raises and catches an error for each that is missing."""
        return self._values.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@lru_cache(maxsize=256)  # a peer sends the same names again and again
def _key(name: str) -> str:
    key = name.lower()
    if not key or key.strip() != key:
        msg = "a header line is malformed"
        raise BadAnswer(msg)
    return key


class Answer:
    """Status and headers, and the body still to be read."""

    __slots__ = ("_chunked", "_connection", "_error", "_left", "_over", "headers", "keeps", "status")

    def __init__(self, connection: Connection, *, method: str) -> None:
        """Read the head of the answer from the connection."""
        version, status, lines = _final_head(connection)
        self.status: int = status
        self.headers = Headers(lines)
        self._connection = connection
        self._error: OSError | None = None
        self._chunked = _is_chunked(self.headers)
        self._left: int | None = None if self._chunked else _size(self.headers)
        if method == "HEAD" or status in _BODILESS:
            self._left, self._chunked = 0, False
        elif self._chunked:
            self._left = 0
        close = self.headers.get("connection", "").lower()
        self.keeps = self._left is not None and (close != "close" if version == "1" else close == "keep-alive")
        self._over = self._left == 0 and not self._chunked

    @property
    def is_over(self) -> bool:
        """Whether the whole body was read."""
        return self._over

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer; less than its size, at last 0, means that the body ends, or that the connection did.

        Bytes that came before an error are returned first; the next call raises it.
        """
        if self._error is not None:
            raise self._error
        done = 0
        try:
            while done < len(buffer) and (count := self._some(buffer[done:])):
                done += count
        except OSError as error:
            self._error = error
            if not done:
                raise
        return done

    def read(self, amt: int | None = None) -> bytes:
        """Return the body, or at most `amt` bytes of it.

        Raises:
            BadAnswer: it ends before its announced size.
        """
        found = bytearray()
        size = 64 * 1024
        buffer = memoryview(bytearray(size))
        while amt is None or len(found) < amt:
            count = self.read_into(buffer if amt is None else buffer[: amt - len(found)])
            found += buffer[:count]
            if not count:
                break
        if self._left and (amt is None or len(found) < amt):
            msg = f"the body broke off, {self._left} bytes before its end"
            raise BadAnswer(msg)
        return bytes(found)

    def read_some(self, buffer: memoryview) -> int:
        """Wait for some bytes and put them into `buffer`; 0 means that the body is over.

        Raises:
            BadAnswer: it ends before its announced size.
        """
        count = self._some(buffer, whole=False)
        if not count and not self._over:
            msg = f"the body broke off, {self._left} bytes before its end"
            raise BadAnswer(msg)
        return count

    def _some(self, buffer: memoryview, *, whole: bool = True) -> int:
        if self._over or not buffer:
            return 0
        if self._chunked and not self._left:
            self._next_chunk()
            if self._over:
                return 0
        count = self._connection.read_into(buffer if self._left is None else buffer[: self._left], whole=whole)
        if self._left is None:
            self._over = count == 0
            return count
        if not count and self._chunked:
            msg = "a chunked body broke off"
            raise BadAnswer(msg)
        self._left -= count
        if self._chunked and not self._left and self._connection.line():
            msg = "a chunk is longer than it said"
            raise BadAnswer(msg)
        self._over = not self._chunked and self._left == 0
        return count

    def _next_chunk(self) -> None:
        size = self._connection.line().partition(b";")[0].strip()
        if not size or not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
            msg = "a chunk has no size"
            raise BadAnswer(msg)
        self._left = int(size, 16)
        if self._left == 0:
            self._skip_trailers()
            self._over = True

    def _skip_trailers(self) -> None:
        for _ in range(_INTERIM):
            if not self._connection.line():
                return
        msg = "a chunked body has no end"
        raise BadAnswer(msg)


def request_bytes(method: str, url: SplitResult, *, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Return a request as it is sent.

    Raises:
        InvalidRequest: the URL or a header has characters that cannot be sent.
    """
    host = url.netloc.rpartition("@")[2]
    target = quote(url.path or "/", safe=_IN_PATH) + (f"?{quote(url.query, safe=_IN_QUERY)}" if url.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or _UNSAFE.search(host):
        msg = "the URL or a header has characters that cannot be sent"
        raise InvalidRequest(msg)
    try:
        return text.encode("latin-1") + b"\r\n\r\n" + (body or b"")
    except UnicodeEncodeError as error:
        msg = "the host or a header is not plain text; write host names in their ASCII form (xn--…)"
        raise InvalidRequest(msg) from error


def can_repeat(method: str) -> bool:
    """Whether a request may be sent twice (RFC 9110, section 9.2.2)."""
    return method in _REPEATABLE


_IN_PATH: Final = "/%:@!$&'()*+,;=-._~"
_IN_QUERY: Final = _IN_PATH + "?"


def _final_head(connection: Connection) -> tuple[str, int, list[str]]:
    """Return version, status and header lines, after any interim answers (RFC 9110, section 15.2)."""
    for _ in range(_INTERIM):
        first, *lines = connection.head()
        match = _STATUS.fullmatch(first)
        if match is None or match[2] == "101":  # we asked for no other protocol
            msg = "the answer is not HTTP/1.1"
            raise BadAnswer(msg)
        if match[2][0] != "1":
            return match[1], int(match[2]), lines
    msg = "no answer came, only announcements of one"
    raise BadAnswer(msg)


def _is_chunked(headers: Headers) -> bool:
    coding = headers.get("transfer-encoding")
    if coding is None:
        return False
    if coding.lower() != "chunked":
        # We asked for no other one (RFC 9112, section 7.4), and taking it for a body would give wrong bytes.
        msg = "the answer has an encoding that nobody asked for"
        raise BadAnswer(msg)
    return True


def _size(headers: Headers) -> int | None:
    text = headers.get("content-length")
    if "transfer-encoding" in headers or text is None:
        return None
    # Two equal sizes are tolerable (RFC 9110, section 8.6), two different ones are an attack.
    size, *others = {part.strip() for part in text.split(",")} if "," in text else (text,)
    if others or not size.isdecimal() or not size.isascii() or len(size) > _DIGITS:
        msg = "the answer has no sane Content-Length"
        raise BadAnswer(msg)
    return int(size)
