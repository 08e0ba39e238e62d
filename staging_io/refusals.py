"""What a refusal of the server, or of a proxy before it, means: the error that it stands for."""

from collections.abc import Mapping
from typing import Protocol

from staging_protocol.api.problem import Problem
from staging_protocol.errors import (
    ERRORS,
    BundleExpired,
    Denied,
    InternalError,
    InvalidRequest,
    NotFound,
    StagingError,
    Unauthenticated,
    Unavailable,
)
from staging_protocol.printable import printable
from staging_protocol.wire import decode


class Refusal(Protocol):
    """The head of an answer that is no success."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""


def problem_error(response: Refusal, data: bytes) -> StagingError:
    """Return the error that a refusal of the server (or of a proxy before it) stands for."""
    try:
        problem = decode(data, into=Problem)
    except InvalidRequest:
        return _unexplained(response)
    kind_of_problem = ERRORS.get(problem.code, InternalError)
    listed = f" (missing: {', '.join(problem.missing)})" if problem.missing else ""
    detail = printable(problem.detail + listed)
    return kind_of_problem(detail, retry_after=retry_after(response.headers))


def is_problem(data: bytes, *, code: str) -> bool:
    """Whether a body is the server's own word that this went wrong."""
    try:
        return decode(data, into=Problem).code == code
    except InvalidRequest:
        return False


def _unexplained(response: Refusal) -> StagingError:
    """Return the error of an answer that is no problem document: a proxy's, or another server's."""
    status = response.status
    detail = f"the server, or a proxy before it, answered {status} without saying why"
    kind = _UNEXPLAINED.get(status, InternalError if status >= 500 else InvalidRequest)  # noqa: PLR2004 - RFC 9110, 15.6
    if issubclass(kind, NotFound | InvalidRequest):
        detail += "; is the URL that of a staging server?"
    return kind(detail, retry_after=retry_after(response.headers))


_UNEXPLAINED: Mapping[int, type[StagingError]] = {
    401: Unauthenticated,
    403: Denied,
    404: NotFound,
    408: Unavailable,
    410: BundleExpired,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header; its date form (which needs a clock) counts as none."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdecimal() else None
