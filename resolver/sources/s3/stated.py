"""What S3 says of an object in the headers of an answer.

The ETag is a strong version.  It is also the MD5 of the bytes of an object that came in one piece, unless a key of a
customer or of KMS encrypts it (S3 API reference, "Object", ETag).  `x-amz-checksum-…` are of the whole, or, with `-N`
behind them (`COMPOSITE`), of the checksums of its N parts.  CRC64NVME cannot be verified here and is left out.
"""

import binascii
import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from resolver.sources.base import Checksum, Stat, Version
from staging_protocol.digests import Digest

Algorithm = Literal["sha256", "sha1", "crc32", "crc32c"]

WITH_CHECKSUMS: Final[Mapping[str, str]] = {"x-amz-checksum-mode": "ENABLED"}
"""What a request says to have checksums stated."""

_HEADERS: Final[Mapping[str, tuple[Algorithm, int]]] = {
    "x-amz-checksum-crc32c": ("crc32c", 4),
    "x-amz-checksum-crc32": ("crc32", 4),
    "x-amz-checksum-sha1": ("sha1", 20),
    "x-amz-checksum-sha256": ("sha256", 32),
}
"""Algorithm and bytes."""
_MD5: Final = re.compile(r'"([0-9a-f]{32})"')
_STATED: Final = re.compile(r"([A-Za-z0-9+/]+={0,2})(?:-([1-9][0-9]{0,4}))?")
_CUSTOMER_KEY: Final = "x-amz-server-side-encryption-customer-algorithm"
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read at once; GLACIER_IR can."""


class Composite(msgspec.Struct, frozen=True, kw_only=True):
    """A checksum of the checksums of `count` parts, whose sizes are not known yet; 0: of the whole."""

    algorithm: Algorithm
    value: bytes
    count: int


def version_of(tag: str | None) -> Version | None:
    """Return the version that an ETag is."""
    return Version(tag, strong=True) if tag else None


def stat_of(headers: Mapping[str, str], *, size: int | None) -> tuple[Stat, tuple[Composite, ...]]:
    """Return what headers say about the whole object, and its checksums of the checksums of parts."""
    stated = _checksums(headers)
    whole = {one.algorithm: one.value for one in stated if not one.count}
    sha256 = whole.pop("sha256", None)
    checksums = [Checksum(algorithm=algorithm, value=value) for algorithm, value in whole.items()]
    stat = Stat(
        size=size,
        version=version_of(headers.get("ETag")),
        digest=None if sha256 is None else Digest.of_hash(sha256),
        checksums=(*checksums, *_md5(headers)),
    )
    return stat, tuple(one for one in stated if one.count)


def is_archived(headers: Mapping[str, str]) -> bool:
    """Tell whether an object has to be restored before it can be read."""
    if headers.get("x-amz-storage-class") not in _ARCHIVES and not headers.get("x-amz-archive-status"):
        return False
    return 'ongoing-request="false"' not in headers.get("x-amz-restore", "")


def _checksums(headers: Mapping[str, str]) -> list[Composite]:
    found = []
    for header, (algorithm, size) in _HEADERS.items():
        stated = headers.get(header)
        match = _STATED.fullmatch(stated) if stated else None
        value = _decoded(match[1]) if match else b""
        if match is not None and len(value) == size:
            found.append(Composite(algorithm=algorithm, value=value, count=int(match[2] or 0)))
    return found


def _md5(headers: Mapping[str, str]) -> tuple[Checksum, ...]:
    match = _MD5.fullmatch(headers.get("ETag", ""))
    encryption = headers.get("x-amz-server-side-encryption", "")
    if match is None or encryption.startswith("aws:kms") or headers.get(_CUSTOMER_KEY):
        return ()
    return (Checksum(algorithm="md5", value=bytes.fromhex(match[1])),)


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        # A checksum that cannot be read verifies nothing.
        return b""
