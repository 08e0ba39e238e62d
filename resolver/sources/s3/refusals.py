"""What a refusal of S3 means.

The code in its XML decides, not the status: 400 may be a region, a token that ended or a slow client.  The codes are
those of the S3 API reference, "Error responses", and of the services that speak like it.
"""

from typing import Final

import msgspec

from resolver.sources.ranged import refused
from resolver.sources.s3.documents import elements
from resolver.sources.s3.places import region_named
from staging_io.http import Answer
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
    Unauthenticated,
)
from staging_protocol.printable import printable

STALE: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "RequestExpired",
     "SignatureDoesNotMatch", "TokenRefreshRequired"}
)  # fmt: skip
"""What is said of a key that was good, and was replaced."""

_MOST: Final = 64 * 1024
"""Bytes of the XML of a refusal; it has some hundred."""
_SHOWN: Final = 300

_WRONG_KEYS: Final = STALE | {"AuthorizationHeaderMalformed", "MissingSecurityHeader", "NotSignedUp", "InvalidSecurity"}
_MISSING: Final = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "NoSuchVersion": "there is no such version",
}
_BUSY: Final = frozenset({"SlowDown", "TooManyRequests", "RequestLimitExceeded", "Throttling", "ThrottlingException"})
_PASSING: Final = frozenset(
    {"InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Busy", "XMinioServerNotInitialized"}
)


class RefusalOfS3(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal, read.

    Attributes:
        status: of HTTP.
        code: of S3; empty where it said none.
        said: its words, harmless to show.
        region: that of the bucket, where it is said.
        location: where else to ask.
        by_status: the error that the status stands for.
        fields: the other elements of the XML.
    """

    status: int
    code: str
    said: str
    region: str | None
    location: str
    by_status: StagingError
    fields: dict[str, str]


def read_refusal(answer: Answer, *, name: str) -> RefusalOfS3:
    """Read a refusal to its end, and close it."""
    with answer:
        try:
            fields = dict(elements(answer, root="Error", most=_MOST, name=name))
        except (InvalidRequest, SourceUnavailable):
            fields = {}  # a proxy's own page, or the answer to HEAD; the status says enough
    return RefusalOfS3(
        status=answer.status, code=fields.get("Code", ""), said=printable(fields.get("Message", "")[:_SHOWN]),
        region=region_named(answer.headers.get("x-amz-bucket-region")) or region_named(fields.get("Region")),
        location=answer.headers.get("Location") or "", by_status=refused(answer, name=name), fields=fields,
    )  # fmt: skip


def error_of(refusal: RefusalOfS3, *, name: str, identity: str) -> StagingError:  # noqa: PLR0911 - it is a table
    """Return the error for a refusal; `identity` is who asked."""
    code, wait = refusal.code, refusal.by_status.retry_after
    because = f" ({code}: {refusal.said})" if code else ""
    match code:
        case "RequestTimeTooSkewed":
            return Unauthenticated(f"{name} was refused: {_skew(refusal)}")
        case "InvalidObjectState":
            return archived(name)
        case _ if code in _WRONG_KEYS:
            return Unauthenticated(f"{name} was refused to {identity}{because}")
        case _ if code in _MISSING:
            return NotFound(f"{name} was not found: {_MISSING[code]}")
        case _ if code in _BUSY:
            return TooManyRequests(f"{name}: S3 asks to come slower{because}", retry_after=wait)
        case _ if code in _PASSING:
            return SourceUnavailable(f"{name}: S3 does not answer now{because}", retry_after=wait)
        case _ if refusal.region is not None or 300 <= refusal.status < 400:  # noqa: PLR2004 - RFC 9110, 15.4
            return InvalidRequest(f"{name} is in another region or place{because}; name it in sources.json (s3.region)")
        case _ if refusal.status == 403:  # noqa: PLR2004 - RFC 9110, 15.5.4
            return Denied(f"{name} was refused to {identity}{because}; without s3:ListBucket that is also said of what "
                          "is not there")  # fmt: skip
        case _ if refusal.status == 405:  # noqa: PLR2004 - what S3 says of a version that stands for "deleted"
            return NotFound(f"{name} was not found: that version says that the object was deleted")
        case _:
            error = refusal.by_status
            return type(error)(f"{error.detail}{because}", retry_after=wait)


def archived(name: str) -> InvalidRequest:
    """Return the error for an object that lies in an archive."""
    return InvalidRequest(f"{name} is archived (S3 Glacier): restore it first, then it can be read")


def _skew(refusal: RefusalOfS3) -> str:
    server = refusal.fields.get("ServerTime")
    said = f" (the service says that it is {printable(server[:40])})" if server else ""
    return f"the clock of this machine is wrong by more than S3 accepts, usually 15 minutes{said}; set it"
