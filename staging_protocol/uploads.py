"""Resumable uploads: the header fields of draft-ietf-httpbis-resumable-upload-15, without its 104 interim response.

    POST   …/uploads        Upload-Length, Repr-Digest, Upload-Complete: ?0      201, Location, Upload-Limit
    PATCH  …/uploads/{id}   Upload-Offset, Upload-Complete: ?0 or, at last, ?1   204 or 201, Upload-Offset
    HEAD   …/uploads/{id}                                                        204, Upload-Offset, Upload-Complete
    DELETE …/uploads/{id}                                                        204

The offset is the number of bytes that are durably stored: it survives the server.  Fields are structured ones (RFC
9651): integers, booleans `?0` and `?1`, and for the limits a dictionary of integers.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import BundleId

CONTENT_TYPE: Final = "application/partial-upload"
OFFSET: Final = "Upload-Offset"
COMPLETE: Final = "Upload-Complete"
LENGTH: Final = "Upload-Length"
LIMIT: Final = "Upload-Limit"
DIGEST: Final = "Repr-Digest"

_BLANK: Final = " \t"
"""What may stand around a field's value (RFC 9110, section 5.5)."""

_INTEGER: Final = re.compile(r"[0-9]{1,15}")
_FLAGS: Final = {"?0": False, "?1": True}
_MEMBER: Final = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)=(-?[0-9]{1,15})[ \t]*(?:;.*)?")


class UploadId(BundleId):
    """The id of one upload, made like the id of a bundle."""

    __slots__ = ()


class UploadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the server allows: bytes of a file, bytes of one append, and seconds that an idle upload is kept."""

    max_size: int
    max_append_size: int
    max_age: int

    def to_field(self) -> str:
        """Return the value of `Upload-Limit`."""
        return f"max-size={self.max_size}, max-append-size={self.max_append_size}, max-age={self.max_age}"


class UploadState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an upload is.

    Attributes:
        offset: bytes that are durably stored.
        complete: all bytes came and were verified: the blob is held.
    """

    offset: int
    complete: bool

    def to_fields(self) -> dict[str, str]:
        """Return the header fields that say so."""
        return {OFFSET: str(self.offset), COMPLETE: flag(self.complete)}

    @classmethod
    def of_fields(cls, fields: Mapping[str, str]) -> "UploadState":
        """Read the header fields; raises InvalidRequest when they are missing or wrong."""
        return cls(offset=read_integer(fields, OFFSET), complete=read_flag(fields, COMPLETE))


def flag(value: bool) -> str:  # noqa: FBT001 - it converts the boolean
    """Return a boolean as RFC 9651, section 3.3.6, writes it."""
    return "?1" if value else "?0"


def read_flag(fields: Mapping[str, str], name: str) -> bool:
    """Return the boolean field `name`; raises InvalidRequest when it is missing or wrong."""
    text = fields.get(name, "").strip(_BLANK)
    if text not in _FLAGS:
        msg = f"{name} has to be ?0 or ?1, not {text[:40]!r}"
        raise InvalidRequest(msg)
    return _FLAGS[text]


def read_integer(fields: Mapping[str, str], name: str) -> int:
    """Return the field `name`, a number that is not negative; raises InvalidRequest when it is missing or wrong."""
    text = fields.get(name, "").strip(_BLANK)
    if not _INTEGER.fullmatch(text):
        msg = f"{name} has to be a number of bytes, not {text[:40]!r}"
        raise InvalidRequest(msg)
    return int(text)


def read_limits(fields: Mapping[str, str]) -> Mapping[str, int]:
    """Return the members of `Upload-Limit`; what is not a number is left out, as unknown members are."""
    members = (_MEMBER.fullmatch(member) for member in fields.get(LIMIT, "").split(","))
    return {match[1]: int(match[2]) for match in members if match is not None}
