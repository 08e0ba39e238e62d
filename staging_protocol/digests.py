"""Digests: the address of a blob, `sha256:<64 hex>` as OCI writes it.

A `Digest` is a string that cannot be wrong, so it can be a key, a column and a JSON value without conversion.
"""

import base64
import binascii
import hashlib
import re
from typing import Final, Self

from staging_protocol.errors import InvalidRequest

_PATTERN: Final = re.compile(r"sha256:[0-9a-f]{64}")
_REPR_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{44}):\s*(?:,|$)")


class Digest(str):
    """`sha256:` and 64 lower-case hexadecimal digits."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take `text` as a digest.

        Raises:
            InvalidRequest: it is not one.
        """
        if not _PATTERN.fullmatch(text):
            msg = f"{text[:80]!r} is not a digest; expected sha256:<64 lower-case hexadecimal digits>"
            raise InvalidRequest(msg)
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the digest of `data`."""
        return cls.of_hash(hashlib.sha256(data).digest())

    @classmethod
    def of_hash(cls, raw: bytes) -> Self:
        """Return the digest whose SHA-256 is the 32 bytes `raw`."""
        return cls(f"sha256:{raw.hex()}")

    @classmethod
    def of_repr_digest(cls, header: str) -> Self | None:
        """Return the sha-256 member of a `Repr-Digest` header (RFC 9530, section 3), or None when it has none."""
        match = _REPR_DIGEST.search(header)
        if match is None:
            return None
        try:
            return cls.of_hash(base64.b64decode(match[1], validate=True))
        except binascii.Error as error:
            msg = "the Repr-Digest header is not valid base64"
            raise InvalidRequest(msg) from error

    @property
    def hex(self) -> str:
        """The 64 hexadecimal digits."""
        return self[7:]

    @property
    def etag(self) -> str:
        """The strong entity tag of a blob (RFC 9110, section 8.8.3), quotes included."""
        return f'"{self}"'

    @property
    def repr_digest(self) -> str:
        """The value of a `Repr-Digest` header (RFC 9530)."""
        return f"sha-256=:{base64.b64encode(bytes.fromhex(self.hex)).decode()}:"
