"""What a reader gets of a blob: RFC 9110's preconditions and ranges, decided from the header fields alone.

A blob never changes, so its only validator is its digest as a strong entity tag; dates are never compared.  The order
is that of RFC 9110, section 13.2.2: If-Match, If-None-Match, then Range with If-Range.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs

from staging_protocol.errors import PreconditionFailed, RangeNotSatisfiable
from staging_server.problems import Headed

_ENTITY_TAG: Final = re.compile(r'\s*(W/)?("[\x21\x23-\x7e\x80-\uffff]*")\s*(?:,|$)')
# ASCII: `\d` would take the digits of every script, and `\s` spaces that HTTP does not know.
_RANGE: Final = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Selection:
    """The bytes `start` to `stop` (not included) of a blob of `size` bytes; `partial` makes the answer a 206."""

    start: int
    stop: int
    size: int
    partial: bool

    @property
    def count(self) -> int:
        """Number of bytes to send."""
        return self.stop - self.start

    @property
    def content_range(self) -> str:
        """The value of `Content-Range` of a 206."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


class Unsatisfiable(RangeNotSatisfiable, Headed):
    """416 with the `Content-Range` that tells the size (RFC 9110, section 15.5.17)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes, and no byte of the range is among them")
        self.headers = {hdrs.CONTENT_RANGE: f"bytes */{size}"}


def select(method: str, headers: Mapping[str, str], *, etag: str, size: int) -> Selection | None:
    """Return what to send of the blob, or None when the client has it already (304).

    Raises:
        PreconditionFailed: If-Match names other entity tags only.
        RangeNotSatisfiable: no byte of the range exists.
    """
    if_match = headers.get(hdrs.IF_MATCH)
    if if_match is not None and not _matches(if_match, etag=etag, weak=False):
        msg = "the file has another digest than If-Match names"
        raise PreconditionFailed(msg)
    if_none_match = headers.get(hdrs.IF_NONE_MATCH)
    if if_none_match is not None and _matches(if_none_match, etag=etag, weak=True):
        return None
    # Section 14.2: Range is defined for GET only.
    if method == hdrs.METH_GET and _range_applies(headers, etag=etag):
        return _select_range(headers[hdrs.RANGE], size=size)
    return Selection(start=0, stop=size, size=size, partial=False)


def _range_applies(headers: Mapping[str, str], *, etag: str) -> bool:
    if hdrs.RANGE not in headers:
        return False
    # Section 13.1.5: strong comparison; a date cannot match what has no Last-Modified.
    return headers.get(hdrs.IF_RANGE, etag).strip() == etag


def _select_range(value: str, *, size: int) -> Selection:
    whole = Selection(start=0, stop=size, size=size, partial=False)
    match = _RANGE.fullmatch(value)
    # Section 14.2: what we do not understand (other units, several ranges, bad syntax) is as if it were not there.
    if match is None or not (match[1] or match[2]):
        return whole
    if not match[1]:
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if match[2] and int(match[2]) < start:
            return whole
    if start >= stop:
        raise Unsatisfiable(size)
    return Selection(start=start, stop=stop, size=size, partial=True)


def _matches(field: str, *, etag: str, weak: bool) -> bool:
    if field.strip() == "*":
        return True
    position = 0
    while match := _ENTITY_TAG.match(field, position):
        if match[2] == etag and (weak or not match[1]):
            return True
        position = match.end()
    return False
