"""Errors as `application/problem+json` (RFC 9457): the one place where an error becomes an HTTP answer.

Status, code and title come from the error's class (`staging_protocol.errors`), the rest from the error itself.  An
error that must carry header fields (RFC 9110 asks for `Allow`, `Content-Range`, …) is also a `Headed`.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Final

from aiohttp import hdrs, web

from staging_protocol.api.problem import Problem
from staging_protocol.errors import (
    BundleExpired,
    FilesMissing,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    StagingError,
    TooLarge,
    Unauthenticated,
    UploadOffsetMismatch,
)
from staging_protocol.uploads import OFFSET
from staging_protocol.wire import encode

CONTENT_TYPE: Final = "application/problem+json"
REQUEST_ID_HEADER: Final = "X-Request-Id"
TYPE_PREFIX: Final = "urn:spark-staging:problem:"
"""A name, not an address: nobody has to own a host for it, and the code follows."""

_REGISTERED: Final[Mapping[type[StagingError], str]] = {
    UploadOffsetMismatch: "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
}
"""Problem types that a standard names (draft-ietf-httpbis-resumable-upload-15, section 7)."""

_CHALLENGE: Final = 'Bearer realm="spark-staging"'


class Headed:
    """Mixed into an error whose answer carries header fields of its own."""

    headers: Mapping[str, str]


class WrongMethod(MethodNotAllowed, Headed):
    """405 with the `Allow` field that RFC 9110, section 15.5.6, asks for."""

    def __init__(self, method: str, *, allowed: frozenset[str]) -> None:
        listed = ", ".join(sorted(allowed))
        super().__init__(f"{method[:20]} is not possible here; possible: {listed}")
        self.headers = {hdrs.ALLOW: listed}


class NeedsCredentials(Unauthenticated, Headed):
    """401 with a challenge (RFC 6750, section 3); `invalid` when a token came that is none."""

    page: ClassVar[str] = 'Basic realm="spark-staging", charset="UTF-8"'

    def __init__(self, detail: str, *, invalid: bool, for_page: bool = False) -> None:
        super().__init__(detail)
        challenge = f'{_CHALLENGE}, error="invalid_token"' if invalid else _CHALLENGE
        self.headers = {hdrs.WWW_AUTHENTICATE: self.page if for_page else challenge}


def problem_of(error: StagingError, *, request_id: str) -> Problem:
    """Return the body that tells `error`."""
    return Problem(
        type=_REGISTERED.get(type(error), TYPE_PREFIX + error.code),
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        retryable=error.retryable,
        request_id=request_id,
        missing=error.missing if isinstance(error, FilesMissing) else (),
        ended_at=error.ended_at if isinstance(error, BundleExpired) else None,
        reason=error.reason if isinstance(error, BundleExpired) else None,
        expected_offset=error.expected if isinstance(error, UploadOffsetMismatch) else None,
    )


def problem_response(error: StagingError, *, request_id: str) -> web.Response:
    """Return the answer that tells `error`."""
    response = web.Response(
        status=error.status,
        body=encode(problem_of(error, request_id=request_id)),
        headers={hdrs.CONTENT_TYPE: CONTENT_TYPE, hdrs.CACHE_CONTROL: "no-store", REQUEST_ID_HEADER: request_id},
    )
    if error.retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(math.ceil(error.retry_after))
    if isinstance(error, UploadOffsetMismatch) and error.expected is not None:
        response.headers[OFFSET] = str(error.expected)
    if isinstance(error, Headed):
        response.headers.update(error.headers)
    return response


def of_http_exception(error: web.HTTPException) -> StagingError:
    """Return the error that one of aiohttp's own refusals stands for."""
    kinds: dict[int, type[StagingError]] = {404: NotFound, 413: TooLarge}
    if error.status >= 500:  # noqa: PLR2004 - RFC 9110, section 15.6
        return InternalError("the server failed; its log has the request id")
    return kinds.get(error.status, InvalidRequest)(f"the request is not valid: {error.reason}")
