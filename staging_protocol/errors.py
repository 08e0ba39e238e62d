"""Every error that crosses a boundary of the product, with its stable code, HTTP status and exit code.

The classes below *are* the table: each declares its `code` (stable, part of the API), the HTTP `status` with which
the server answers it, the `exit_code` with which a command or an init container ends, and a `title`.

    StagingError
    ├── PermanentError            trying again changes nothing
    │   ├── InvalidRequest  …     the caller has to change something
    │   ├── NotFound, Denied  …   the thing or the right is not there
    │   └── DigestMismatch  …     the bytes are not what was promised
    └── TransientError            the same call may succeed later
        ├── Unavailable, SourceUnavailable, TooManyRequests, InternalError
        ├── RequestInProgress, RequestTimeout, RequestDamaged
        ├── UploadSuperseded      another request took the upload over
        └── SourceChanged         the dependency changed under a download

Foreign exceptions are translated into these once, at the edge of the client that met them, with `raise … from`.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import ClassVar, Final


class ExitCode(IntEnum):
    """How a command or an init container ended; pods show it in their container status."""

    DONE = 0
    USAGE = 2
    NOT_FOUND = 40
    DENIED = 41
    DIGEST_MISMATCH = 42
    NO_SPACE = 43
    UNAVAILABLE = 44
    DEADLINE = 45
    REFUSED_BY_POLICY = 46
    BAD_ARCHIVE = 47
    BUNDLE_EXPIRED = 48
    TERMINATED = 143


class StagingError(Exception):
    """Base of all errors of the product; `detail` says what happened and what to do, and holds no secret.

    `retry_after` is the number of seconds that the server asked to wait, if it did.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    exit_code: ClassVar[ExitCode]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class PermanentError(StagingError):
    """Trying the same again changes nothing."""


class TransientError(StagingError):
    """The same request may succeed later."""

    retryable = True


class InvalidRequest(PermanentError):
    code, status, exit_code = "invalid-request", 400, ExitCode.USAGE
    title = "The request is not valid"


class Unauthenticated(PermanentError):
    code, status, exit_code = "unauthenticated", 401, ExitCode.DENIED
    title = "No valid credentials were given"


class Denied(PermanentError):
    code, status, exit_code = "denied", 403, ExitCode.DENIED
    title = "The caller may not do this"


class NotFound(PermanentError):
    """Also the answer to a wrong token: who may not read a bundle does not learn that it exists."""

    code, status, exit_code = "not-found", 404, ExitCode.NOT_FOUND
    title = "There is no such thing, or the token does not open it"


class MethodNotAllowed(PermanentError):
    code, status, exit_code = "method-not-allowed", 405, ExitCode.USAGE
    title = "The route exists, but not with this method"


class BlobNotWanted(PermanentError):
    code, status, exit_code = "blob-not-wanted", 409, ExitCode.USAGE
    title = "No open bundle of this tenant wants a blob of this digest and size"


class BundleNotSealed(PermanentError):
    code, status, exit_code = "bundle-not-sealed", 409, ExitCode.NOT_FOUND
    title = "The bundle is not sealed yet"


class FilesMissing(PermanentError):
    code, status, exit_code = "files-missing", 409, ExitCode.NOT_FOUND
    title = "Files of the bundle are not staged yet"

    def __init__(self, detail: str, *, retry_after: float | None = None, missing: tuple[str, ...] = ()) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.missing = missing


class TargetCollision(PermanentError):
    code, status, exit_code = "target-collision", 422, ExitCode.USAGE
    title = "Two dependencies have the same target"


class BundleExpired(PermanentError):
    code, status, exit_code = "bundle-expired", 410, ExitCode.BUNDLE_EXPIRED
    title = "The bundle has ended"

    def __init__(
        self,
        detail: str,
        *,
        retry_after: float | None = None,
        ended_at: datetime | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.ended_at = ended_at
        self.reason = reason


class UploadOffsetMismatch(PermanentError):
    """`expected` is where the upload stands (draft-ietf-httpbis-resumable-upload, section 4.4)."""

    code, status, exit_code = "upload-offset-mismatch", 409, ExitCode.UNAVAILABLE
    title = "The bytes do not begin where the upload stands"

    def __init__(self, detail: str, *, retry_after: float | None = None, expected: int | None = None) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.expected = expected


class SizeRequired(PermanentError):
    code, status, exit_code = "size-required", 411, ExitCode.USAGE
    title = "The request needs a Content-Length"


class PreconditionFailed(PermanentError):
    code, status, exit_code = "precondition-failed", 412, ExitCode.USAGE
    title = "A precondition of the request does not hold"


class TooLarge(PermanentError):
    code, status, exit_code = "too-large", 413, ExitCode.NO_SPACE
    title = "The body or file is larger than a limit of the server"


class UnsupportedEncoding(PermanentError):
    code, status, exit_code = "unsupported-encoding", 415, ExitCode.USAGE
    title = "The body has a type or encoding that is not accepted"


class RangeNotSatisfiable(PermanentError):
    code, status, exit_code = "range-not-satisfiable", 416, ExitCode.USAGE
    title = "The range lies outside the file"


class DigestMismatch(PermanentError):
    code, status, exit_code = "digest-mismatch", 422, ExitCode.DIGEST_MISMATCH
    title = "The bytes do not have the promised digest or size"


class IdempotencyMismatch(PermanentError):
    code, status, exit_code = "idempotency-mismatch", 422, ExitCode.USAGE
    title = "The Idempotency-Key was used before with another body"


class QuotaExceeded(PermanentError):
    code, status, exit_code = "quota-exceeded", 507, ExitCode.NO_SPACE
    title = "The quota of the namespace is used up"


class NoSpace(PermanentError):
    code, status, exit_code = "no-space", 507, ExitCode.NO_SPACE
    title = "There is not enough free space"


class RefusedByPolicy(PermanentError):
    code, status, exit_code = "refused-by-policy", 403, ExitCode.REFUSED_BY_POLICY
    title = "A policy forbids this dependency"


class PeerNotTrusted(PermanentError):
    """A certificate that does not hold now will not hold in a minute; whoever waits for it waits in vain."""

    code, status, exit_code = "peer-not-trusted", 502, ExitCode.UNAVAILABLE
    title = "The certificate of the server cannot be trusted"


class BadArchive(PermanentError):
    code, status, exit_code = "bad-archive", 422, ExitCode.BAD_ARCHIVE
    title = "The archive is damaged or unsafe"


class DeadlineExceeded(PermanentError):
    code, status, exit_code = "deadline-exceeded", 504, ExitCode.DEADLINE
    title = "The time that was given for it is used up"


class Terminated(PermanentError):
    code, status, exit_code = "terminated", 503, ExitCode.TERMINATED
    title = "The program was asked to end"


class RequestInProgress(TransientError):
    code, status, exit_code = "request-in-progress", 409, ExitCode.UNAVAILABLE
    title = "A request with this Idempotency-Key is still running"


class UploadSuperseded(TransientError):
    code, status, exit_code = "upload-superseded", 409, ExitCode.UNAVAILABLE
    title = "Another request took the upload over; ask for its offset before sending more"


class RequestTimeout(TransientError):
    code, status, exit_code = "request-timeout", 408, ExitCode.UNAVAILABLE
    title = "The body of the request did not arrive in time"


class RequestDamaged(TransientError):
    code, status, exit_code = "request-damaged", 400, ExitCode.UNAVAILABLE
    title = "The body of the request does not have the Content-Digest that came with it"


class TooManyRequests(TransientError):
    code, status, exit_code = "too-many-requests", 429, ExitCode.UNAVAILABLE
    title = "A limit on requests or things in flight is reached"


class InternalError(TransientError):
    code, status, exit_code = "internal-error", 500, ExitCode.UNAVAILABLE
    title = "The server failed; its log has the request id"


class Unavailable(TransientError):
    code, status, exit_code = "unavailable", 503, ExitCode.UNAVAILABLE
    title = "The server does not take requests now"


class SourceUnavailable(TransientError):
    code, status, exit_code = "source-unavailable", 503, ExitCode.UNAVAILABLE
    title = "The source of a dependency does not answer as it should"


class SourceChanged(TransientError):
    code, status, exit_code = "source-changed", 409, ExitCode.UNAVAILABLE
    title = "The dependency changed while it was downloaded"


def _concrete(base: type[StagingError]) -> list[type[StagingError]]:
    found = [base] if "code" in vars(base) else []
    return found + [error for child in base.__subclasses__() for error in _concrete(child)]


ERRORS: Final[Mapping[str, type[StagingError]]] = MappingProxyType(
    {error.code: error for error in _concrete(StagingError)}
)
"""All error types by their code; documentation and clients are made from it."""
