"""What Google's refusals mean.

Most are JSON with a reason for programs and a message for people; with `alt=media` some are the message alone.
https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from collections.abc import Callable
from typing import Final

import msgspec

from resolver.sources import ranged
from staging_io.http import Answer
from staging_protocol.errors import Denied, InvalidRequest, NotFound, StagingError, TooManyRequests, Unauthenticated
from staging_protocol.printable import printable
from staging_protocol.uris import DependencyUri
from staging_protocol.wire import decode

_MAX_BODY: Final = 64 * 1024
_SHOWN: Final = 300
"""Characters of Google's message that are repeated."""
_RATES: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


class _Reason(msgspec.Struct, frozen=True):
    reason: str = ""


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    errors: tuple[_Reason, ...] = ()


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error


def refused(answer: Answer, *, uri: DependencyUri, right: str, identity: Callable[[], str] | None) -> StagingError:
    """Return the error for an answer that is none; it reads the body.

    `right` is the permission that was needed, `identity` tells who asked (None: nobody in particular).
    """
    error = _error_of(answer.read(_MAX_BODY))
    said = f" (Google says: {printable(error.message[:_SHOWN])})" if error.message else ""
    match answer.status:
        case 401:
            return Unauthenticated(f"{_unaccepted(uri, right=right, identity=identity)}{said}")
        case 403 if any(one.reason in _RATES for one in error.errors):
            return TooManyRequests(f"too many requests for {uri}{said}", retry_after=ranged.retry_after(answer.headers))
        case 403:
            who = "an anonymous request" if identity is None else identity()
            return Denied(f"{who} may not read {uri}: {right} is missing{said}")
        case 404:
            return NotFound(f"{uri} is not there{said}")
        case 400:
            return InvalidRequest(
                f"{uri} was answered with 400{said}; a bucket whose requesters pay needs user_project"
            )
        case _:
            return ranged.refused(answer, name=str(uri))


def _unaccepted(uri: DependencyUri, *, right: str, identity: Callable[[], str] | None) -> str:
    if identity is None:
        return f"{uri} is not public: nobody may read it anonymously, so it needs credentials with {right}"
    return f"{uri}: the credentials of {identity()} are not accepted"


def _error_of(body: bytes) -> _Error:
    try:
        return decode(body, into=_Refusal).error
    except InvalidRequest:
        text = body.decode(errors="replace").strip()
        # Not the pages that proxies write.
        return _Error(message="" if text.startswith("<") else text)
