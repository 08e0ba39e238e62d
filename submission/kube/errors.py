"""What goes wrong with the Kubernetes API, as errors of ours that say what to do.

    no connection, no whole answer, 408, 5xx    Unavailable       the same may succeed later
    429                                         TooManyRequests   … after `retry_after` seconds
    409 AlreadyExists                           AlreadyExists     the name is taken
    409 otherwise                               Conflict          somebody else changed it at the same moment
    410                                         Gone              that version, or page, is too old: list again
    401, 403, 404                               Unauthenticated, Denied, NotFound
    400                                         BadRequest        it does not know what is wanted
    any other 4xx                               InvalidRequest    Kubernetes finds the object wrong

What the API server says is told with it, but not where it could repeat a Secret that we sent.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from staging_io.logs import redact
from staging_io.refusals import retry_after
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    PeerNotTrusted,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from staging_protocol.printable import printable


class AlreadyExists(InvalidRequest):
    """There is an object of that name.

    `perhaps_ours` says that an earlier attempt of the same call had no answer: it may have created this one.
    """

    perhaps_ours = False


class BadRequest(InvalidRequest):
    """The API server does not know what is wanted of it, as when a webhook in its way cannot be tried (`dryRun`)."""


class Conflict(Unavailable):
    """Somebody else changed the object, or its quota, at the same moment."""


class Gone(Unavailable):
    """The API server no longer knows that version.  The same call fails again; a new list tells what there is."""

    retryable = False


class Answered(NamedTuple):
    """A refusal, as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


LOG_IN: Final = "log in again: kubectl has to work with the same kubeconfig and context"
_SERVER_ERRORS: Final = 500
_REQUEST_TIMEOUT: Final = 408
_BAD_REQUEST: Final = 400
_CONFLICT: Final = 409
_KINDS: Final[Mapping[int, tuple[type[StagingError], str]]] = {
    400: (BadRequest, ""),
    401: (Unauthenticated, f"; {LOG_IN}"),
    403: (Denied, "; what RBAC, quotas and policies allow is for the cluster's administrators to change"),
    404: (NotFound, ""),
    410: (Gone, "; it took too long, try again"),
    429: (TooManyRequests, "; try again"),
}


class _Cause(msgspec.Struct):
    reason: str = ""


class _Details(msgspec.Struct, rename="camel"):
    kind: str = ""
    causes: list[_Cause] = []
    retry_after_seconds: float | None = None


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    details: _Details | None = None


def refusal(answer: Answered, *, what: str, has_secrets: bool = False) -> StagingError:
    """Return the error for an answer that is no success.

    Args:
        answer: of the API server, or of a proxy before it.
        what: was asked.
        has_secrets: whether the request held what must not be told.
    """
    said = _read(answer.body)
    kind, hint = _kind(answer.status, said)
    # What makes no sense to it (400) is quoted by the API server, with what stands around it.
    is_told = said.message and not (has_secrets and answer.status == _BAD_REQUEST)
    why = printable(redact(said.message)) if is_told else f"it answers {answer.status} without a reason to tell"
    wait = retry_after(answer.headers)
    if wait is None and said.details is not None:
        wait = said.details.retry_after_seconds
    return kind(f"the Kubernetes API refused to {what}: {why}{hint}", retry_after=wait)


def unanswered(error: StagingError, *, what: str, named_by: str) -> StagingError:
    """Return the error for a request that has no whole answer, from that of our HTTP.

    Args:
        error: of `staging_io.http`, which names the host.
        what: was asked.
        named_by: what names the API server.
    """
    match error:
        case SourceUnavailable():
            return Unavailable(
                f"the Kubernetes API cannot be asked to {what}: {error.detail}; check {named_by} and the network"
            )
        case PeerNotTrusted():
            return PeerNotTrusted(
                f"no secure connection to the Kubernetes API (to {what}): {_doubt(error)}; "
                f"does the certificate-authority of the kubeconfig belong to the address of {named_by}?"
            )
        case Unauthenticated():
            return Unauthenticated(f"the Kubernetes API refuses the client certificate of the kubeconfig; {LOG_IN}")
        case Denied():  # by a proxy
            return Denied(f"the Kubernetes API cannot be asked to {what}: {error.detail}; check HTTPS_PROXY, NO_PROXY")
        case _:
            return error


def no_kubernetes(*, what: str, named_by: str) -> StagingError:
    """Return the error for an answer that no API server gives, such as a login page."""
    return Unavailable(f"what answers (to {what}) is no Kubernetes API; check {named_by} and proxies on the way")


def _kind(status: int, said: _Status) -> tuple[type[StagingError], str]:
    if status == _CONFLICT:
        return _conflict(said)
    if status == _REQUEST_TIMEOUT or status >= _SERVER_ERRORS:
        return Unavailable, "; try again"
    kind, hint = _KINDS.get(status, (InvalidRequest, ""))
    if kind is NotFound and said.details is not None and said.details.kind == "namespaces":
        hint = "; check the namespace (-n, or spark.kubernetes.namespace)"
    return kind, hint


def _conflict(said: _Status) -> tuple[type[StagingError], str]:
    if said.reason == "AlreadyExists":
        return AlreadyExists, ""
    if said.details is not None and any(cause.reason == "FieldManagerConflict" for cause in said.details.causes):
        return InvalidRequest, ""
    return Conflict, "; try again"


def _read(body: bytes) -> _Status:
    try:
        return msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Status()  # from a proxy on the way


def _doubt(error: BaseException) -> str:
    """Return what is wrong with a certificate, in the words of TLS, wherever it is wrapped."""
    inner: BaseException | None = error
    while inner is not None:
        if doubt := getattr(inner, "verify_message", None):
            return str(doubt)
        inner = inner.__cause__ or inner.__context__
    return "its certificate does not hold"
