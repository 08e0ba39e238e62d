"""Bearer tokens: their form, and the hash that is stored instead of them.

    sst_<bundle id>_<256 bits, base62>_<crc>      opens one bundle for reading
    ssa_<token id>_<256 bits, base62>_<crc>       an access token of a submitter or an operator (`auth.mode=tokens`)

The prefix and the CRC let secret scanners find leaked tokens without asking us; the id lets the server look up one row
and compare in constant time.  Only `token.hash` is ever stored: with 256 random bits, a plain SHA-256 is enough.
"""

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from staging_protocol.errors import InvalidRequest

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_CHARACTERS: Final = 43  # 62**43 > 2**256
_CRC_CHARACTERS: Final = 6  # 62**6 > 2**32
_ID_OF_BYTE: Final = (string.ascii_lowercase + "234567").encode() * 8  # 8 * 32 = 256: each character is as likely
_ID: Final = re.compile(r"[a-z2-7]{26}")
_TOKEN: Final = re.compile(r"(ss[ta])_([a-z2-7]{26})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})")

# Of a random byte 248 values (4 * 62) are a character, each character as likely; the other 8 are dropped.
_BASE62_OF_BYTE: Final = (_BASE62.encode() * 5)[:256]
_DROPPED: Final = bytes(range(248, 256))
_DRAWN: Final = 64
"""Random bytes drawn at once: 62 of them are kept on average, and fewer than 43 practically never."""


class BundleId(str):
    """26 characters of a-z2-7 (130 random bits): also a valid label value and part of a Kubernetes name."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take `text` as an id.

        Raises:
            InvalidRequest: it is not one.
        """
        if not _ID.fullmatch(text):
            msg = f"{text[:80]!r} is not a bundle id; expected 26 characters of a-z and 2-7"
            raise InvalidRequest(msg)
        return super().__new__(cls, text)

    @classmethod
    def generate(cls) -> Self:
        """Return a new random id."""
        return cls(secrets.token_bytes(26).translate(_ID_OF_BYTE).decode())


class TokenKind(StrEnum):
    """What a token opens; its value is the prefix."""

    BUNDLE = "sst"
    ACCESS = "ssa"


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A bearer secret.  `text` is the only way to the secret; `str()` and `repr()` do not show it."""

    kind: TokenKind
    id: BundleId
    secret: str
    text: str = field(init=False, compare=False)
    """The token as it is sent; never log it, never put it into arguments."""

    def __post_init__(self) -> None:
        """Compute the text once: it is sent, hashed and compared."""
        body = f"{self.kind.value}_{self.id}_{self.secret}"
        object.__setattr__(self, "text", f"{body}_{_crc(body)}")

    @classmethod
    def generate(cls, kind: TokenKind, *, identifier: BundleId | None = None) -> Self:
        """Return a new token of 256 random bits for `identifier`, or for a new id."""
        return cls(kind=kind, id=identifier or BundleId.generate(), secret=_random_base62(_SECRET_CHARACTERS))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token; white space around it (a file's last newline) does not count.

        Raises:
            InvalidRequest: it has not the form of a token, or was cut or mistyped (CRC). The text is not repeated.
        """
        stripped = text.strip()
        match = _TOKEN.fullmatch(stripped)
        token = match and cls(kind=TokenKind(match[1]), id=BundleId(match[2]), secret=match[3])
        if token is None or token.text != stripped:
            msg = "this is not a token of the staging server, or it was cut; expected sst_… or ssa_…"
            raise InvalidRequest(msg)
        return token

    @property
    def hash(self) -> str:
        """What is stored: 64 hexadecimal digits of the SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def __repr__(self) -> str:
        """Show the id and four characters of the hash."""
        return f"<Token {self.kind} {self.id} {self.hash[:4]}…>"

    __str__ = __repr__


def _random_base62(width: int) -> str:
    characters = b""
    while len(characters) < width:
        characters += secrets.token_bytes(_DRAWN).translate(_BASE62_OF_BYTE, _DROPPED)
    return characters[:width].decode()


def _base62(number: int, width: int) -> str:
    characters: list[str] = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        characters.append(_BASE62[digit])
    return "".join(reversed(characters))


def _crc(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CRC_CHARACTERS)
