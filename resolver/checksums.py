"""Checksums: which one of a file is computed, and whether it is the one that was promised.

A SHA-256 that somebody promised (the manifest, or the source) proves the bytes, and nothing else is looked at.  Without
one, the cheapest checksum that the source states is verified.  Where it states nothing, a CRC is computed, so that a
second run can tell that a file is still what was downloaded.  SHA-256 is computed besides only for callers that want to
know it.  Why: docs/decisions/0043-checksums-of-sources.md.
"""

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, Protocol

import msgspec

from resolver.sources.base import Algorithm, Checksum, Stat
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch

_COSTS: Final[dict[Algorithm, int]] = {"crc32c": 0, "crc32": 1, "sha1": 2, "sha256": 3, "md5": 4}
"""Order of cost: 12, 1.9, 1.4, 1.2 and 0.65 GiB/s, measured on a processor with instructions for CRC-32C and SHA."""


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What was computed of a file."""

    digest: Digest | None = None
    checksum: Checksum | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What is computed of a file, and what has to come out.

    Attributes:
        digest: whether SHA-256 is computed.
        expected: what it has to be, if anybody said so.
        checksum: one that is computed, and compared with its value where the source states one.
    """

    digest: bool
    expected: Digest | None = None
    checksum: Checksum | None = None

    @property
    def can_be_combined(self) -> bool:
        """Whether it follows from the checksums of pieces, in whatever order these come."""
        return not self.digest and self.checksum is not None and self.checksum.algorithm in {"crc32", "crc32c"}

    def verify(self, sums: Sums, *, name: object) -> None:
        """Compare what came out; `name` is told in errors.

        Raises:
            DigestMismatch: it is something else.
        """
        if self.expected is not None and sums.digest != self.expected:
            msg = f"{name} has {sums.digest}, expected {self.expected}"
            raise DigestMismatch(msg)
        if self.checksum is not None and self.checksum.value and sums.checksum != self.checksum:
            found, stated = (one.value.hex() if one else "none" for one in (sums.checksum, self.checksum))
            msg = f"{name} has {self.checksum.algorithm} {found}, but the source states {stated}"
            raise DigestMismatch(msg)


def check_for(stat: Stat, *, digest: Digest | None = None, wanted: bool = False) -> Check:
    """Decide; `digest` is the manifest's, `wanted` whether the caller wants to know the digest anyway."""
    expected = digest or stat.digest
    if expected is not None:
        return Check(digest=True, expected=expected)
    stated = cheapest(stat.checksums, size=stat.size)
    if stated is None and wanted:
        return Check(digest=True)
    return Check(digest=wanted, checksum=stated or _own())


def _own() -> Checksum:
    """Return what is computed where nothing is stated: the fastest that can be put together from parts."""
    return Checksum(algorithm="crc32" if crc32c() is None else "crc32c", value=b"")


def cheapest(checksums: Iterable[Checksum], *, size: int | None) -> Checksum | None:
    """Return the checksum that costs least, of those that can be computed here."""
    usable = [
        one
        for one in checksums
        if one.algorithm in _COSTS
        and (not one.parts or sum(one.parts) == size)
        and (one.algorithm != "crc32c" or crc32c() is not None)
    ]
    return min(usable, key=lambda one: (_COSTS[one.algorithm], bool(one.parts)), default=None)


# --- computing


class Sum(Protocol):
    """A checksum of the bytes so far."""

    def update(self, data: memoryview, /) -> None:
        """Go on with `data`."""

    def digest(self) -> bytes:
        """Return it, big-endian."""


Extend = Callable[[int, bytes | memoryview], int]
"""Takes the CRC so far and further bytes, returns the CRC of all."""


@cache
def crc32c() -> Extend | None:
    """Return what computes CRC-32C; None when google-crc32c is missing or has no compiled part (then: 10 MiB/s)."""
    try:
        from google_crc32c import extend, implementation  # S3 and GCS state it, and their extras bring this
    except ImportError:
        return None
    # It takes bytes only.  Copying costs a tenth of what receiving costs.
    return None if implementation != "c" else lambda crc, data: int(extend(crc, bytes(data)))


def extend_of(algorithm: Algorithm) -> Extend:
    """Return what computes a CRC; the caller has asked `cheapest`."""
    extend = crc32c() if algorithm == "crc32c" else _extend_crc32
    if extend is None:  # pragma: no cover - `cheapest` does not choose it
        msg = "google-crc32c is missing"
        raise LookupError(msg)
    return extend


def _extend_crc32(crc: int, data: bytes | memoryview) -> int:
    return zlib.crc32(data, crc)


class _Crc:
    def __init__(self, algorithm: Algorithm) -> None:
        self._extend = extend_of(algorithm)
        self._crc = 0

    def update(self, data: memoryview, /) -> None:
        self._crc = self._extend(self._crc, data)

    def digest(self) -> bytes:
        return self._crc.to_bytes(4, "big")


def new_sum(algorithm: Algorithm) -> Sum:
    """Return the checksum of no bytes."""
    if algorithm in {"crc32", "crc32c"}:
        return _Crc(algorithm)
    return hashlib.new(algorithm, usedforsecurity=False)


class _Composite:
    """The checksum of the checksums of pieces."""

    def __init__(self, algorithm: Algorithm, parts: tuple[int, ...]) -> None:
        self._algorithm = algorithm
        self._parts = iter(parts)
        self._whole = new_sum(algorithm)
        self._next()

    def update(self, data: memoryview, /) -> None:
        while len(data) >= self._left:
            self._piece.update(data[: self._left])
            data = data[self._left :]
            self._whole.update(memoryview(self._piece.digest()))
            self._next()
        self._piece.update(data)
        self._left -= len(data)

    def digest(self) -> bytes:
        self.update(memoryview(b""))  # the last piece may be empty
        return self._whole.digest()

    def _next(self) -> None:
        self._left = next(self._parts, sys.maxsize)
        self._piece = new_sum(self._algorithm)


class InOrder:
    """Computes what a check wants, from bytes in their order."""

    def __init__(self, check: Check) -> None:
        self._digest = hashlib.sha256() if check.digest else None
        self._stated = check.checksum
        self._checksum = None if check.checksum is None else _sum_for(check.checksum)

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        if self._digest is not None:
            self._digest.update(data)
        if self._checksum is not None:
            self._checksum.update(data)

    def result(self) -> Sums:
        """Return what came out."""
        return Sums(
            digest=None if self._digest is None else Digest.of_hash(self._digest.digest()),
            checksum=None
            if self._checksum is None or self._stated is None
            else msgspec.structs.replace(self._stated, value=self._checksum.digest()),
        )


def _sum_for(checksum: Checksum) -> Sum:
    if checksum.parts:
        return _Composite(checksum.algorithm, checksum.parts)
    return new_sum(checksum.algorithm)
