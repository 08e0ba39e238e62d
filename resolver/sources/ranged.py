"""Ranged GET (RFC 9110, section 14): how bytes come from every service that speaks HTTP.

A source gives `get`, which sends a GET with further headers and whatever redirects, signatures or credentials its
service needs; this module asks for the range, checks that the answer is the one that was asked for, and yields it.

Versions: a strong entity tag is sent back in If-Match, so that a changed dependency is refused by the server (412);
any tag, or else the time of change, is compared here too, for servers that ignore If-Match.
"""

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import msgspec

from resolver.sources.base import Stat, Version
from resolver.sources.stated import stated
from staging_io.http import Answer
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    RangeNotSatisfiable,
    SourceChanged,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
    Unauthenticated,
)

Get = Callable[[Mapping[str, str]], Answer]
Refusal = Callable[[Answer], StagingError]

_SIZE: Final = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE: Final = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)")
_PASSING: Final = frozenset({408, 425, 500, 502, 503, 504})
"""Statuses after which the same request may succeed: RFC 9110, sections 15.5.9 and 15.6, and RFC 8470 (425)."""


class HttpReading(msgspec.Struct, frozen=True, kw_only=True):
    """The body of one answer, which it closes at the end of its `with` block."""

    stat: Stat
    start: int
    stop: int | None
    answer: Answer

    @property
    def says_its_end(self) -> bool:
        """Whether there is a size, of the whole or of each chunk (RFC 9112, section 8)."""
        return self.stop is not None or "Transfer-Encoding" in self.answer.headers

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` from the body."""
        return 0 if self.start == self.stop else self.answer.read_into(buffer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.answer.close()


def read_range(
    get: Get, *, name: str, version: Version | None, start: int, stop: int | None, refusal: Refusal
) -> HttpReading:
    """Open the bytes from `start` to `stop` of `name`.

    Raises:
        SourceChanged: the server holds another version than `version`.
        SourceUnavailable: the answer is not the one to this question.
        StagingError: what `refusal` makes of another status.
    """
    answer = get(_headers(version=version, start=start, stop=stop))
    try:
        reading = _reading(answer, name=name, start=start, refusal=refusal)
        _check_version(reading.stat.version, version, name=name)
    except BaseException:
        answer.close()
        raise
    return reading


def stat_of(answer: Answer, *, size: int | None) -> Stat:
    """Return what the headers of an answer say about the whole dependency."""
    digest, checksums = stated(answer.headers, is_whole=answer.status == 200)  # noqa: PLR2004 - RFC 9110, section 15.3.1
    return Stat(size=size, version=version_of(answer.headers), digest=digest, checksums=checksums)


def version_of(headers: Mapping[str, str]) -> Version | None:
    """Return the version that headers name: the entity tag, else the time of change, else none."""
    tag = headers.get("ETag")
    if tag:
        # Without quotes it is no tag (RFC 9110, section 8.8.3), and nothing to send in If-Match.
        return Version(tag, strong=tag.startswith('"'))
    changed = headers.get("Last-Modified")
    return Version(changed, strong=False) if changed else None


def size_of(answer: Answer) -> int | None:
    """Return the Content-Length of a whole answer."""
    size = answer.headers.get("Content-Length", "")
    return int(size) if _SIZE.fullmatch(size) else None


def refused(answer: Answer, *, name: str) -> StagingError:  # noqa: C901, PLR0911 - it is a table
    """Return the error that a status stands for."""
    status = answer.status
    detail = f"{name} was answered with {status}"
    match status:
        case 401:
            return Unauthenticated(f"{detail}: credentials are missing or wrong")
        case 403:
            return Denied(f"{detail}: these credentials, or their lack, do not open it")
        case 407:
            return Denied(f"{detail}: the proxy wants credentials; write user and password into its URL")
        case 451:
            return Denied(f"{detail}: it is withheld for legal reasons")
        case 404:
            return NotFound(f"{detail}: it is not there")
        case 410:
            return NotFound(f"{detail}: it was there and is gone for good")
        case 412:
            return SourceChanged(f"{name} changed while it was downloaded")
        case 416:
            return RangeNotSatisfiable(detail)
        case 429:
            return TooManyRequests(detail, retry_after=retry_after(answer.headers))
        case _ if status in _PASSING:
            return SourceUnavailable(detail, retry_after=retry_after(answer.headers))
        case _:
            return InvalidRequest(detail)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After; its date form is measured by the server's own clock, its Date header."""
    value = headers.get("Retry-After", "")
    if _SIZE.fullmatch(value):
        return float(value)
    from email.utils import parsedate_to_datetime  # 10 ms, and hardly any server sends dates

    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError, IndexError):  # the parser's own, for dates that are none
        return None
    return max(0.0, wait.total_seconds())


def _headers(*, version: Version | None, start: int, stop: int | None) -> dict[str, str]:
    headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if (start, stop) != (0, None) else {}
    if version is not None and version.strong:
        headers["If-Match"] = version.text
    return headers


def _reading(answer: Answer, *, name: str, start: int, refusal: Refusal) -> HttpReading:
    match answer.status:
        case 200:
            size = size_of(answer)
            return HttpReading(stat=stat_of(answer, size=size), start=0, stop=size, answer=answer)
        case 206:
            return _part(answer, name=name, start=start)
        case 416 if (empty := _behind_the_end(answer, start=start)) is not None:
            return empty
        case _:
            raise refusal(answer)


def _part(answer: Answer, *, name: str, start: int) -> HttpReading:
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None or match[1] is None or int(match[1]) != start or int(match[2]) < start:
        msg = f"{name}: asked for bytes from {start}, got {answer.headers.get('Content-Range')!r}"
        raise SourceUnavailable(msg)
    if match[3] == "*":
        msg = f"{name}: the server answers ranges without saying how large the whole is"
        raise InvalidRequest(msg)
    return HttpReading(stat=stat_of(answer, size=int(match[3])), start=start, stop=int(match[2]) + 1, answer=answer)


def _check_version(found: Version | None, wanted: Version | None, *, name: str) -> None:
    if wanted is not None and found not in {None, wanted}:
        msg = f"{name} changed while it was downloaded"
        raise SourceChanged(msg)


def _behind_the_end(answer: Answer, *, start: int) -> HttpReading | None:
    """A range from the last byte's end on is refused with 416 and the size (RFC 9110, section 14.4)."""
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None or match[3] != str(start):
        return None
    # Version and digest in a 416 may describe the error page.
    return HttpReading(stat=Stat(size=start), start=start, stop=start, answer=answer)
