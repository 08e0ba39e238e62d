"""What the headers of an answer state about the bytes of the whole dependency.

    Repr-Digest, Digest      RFC 9530; its forerunner RFC 3230
    Content-Digest           RFC 9530, of the bytes in this answer: where these are the whole
    Content-MD5              RFC 1864, the same
    X-Checksum-Sha256, …     Artifactory, and others after it
    x-goog-hash              Google Cloud Storage, of the bytes as they are stored

What cannot be read is passed over: it verifies nothing, and the manifest's own digest still does.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Final

from resolver.sources.base import Checksum
from staging_protocol.digests import Digest

_MEMBER: Final = re.compile(r"\s*([A-Za-z0-9-]+)=:?([A-Za-z0-9+/]+=*):?\s*")
_SIZES: Final = {"sha256": 32, "sha1": 20, "md5": 16, "crc32c": 4}
_NAMES: Final = {
    "sha-256": "sha256", "sha256": "sha256", "sha": "sha1", "sha-1": "sha1", "md5": "md5", "crc32c": "crc32c",
}  # fmt: skip
_FIELDS: Final = frozenset(
    {
        "repr-digest", "digest", "content-digest", "content-md5", "x-goog-hash", "x-checksum-sha256", "x-checksum-sha1",
        "x-checksum-md5",
    }
)  # fmt: skip
_HEXADECIMAL: Final = (("X-Checksum-Sha256", "sha256"), ("X-Checksum-Sha1", "sha1"), ("X-Checksum-Md5", "md5"))


def stated(headers: Mapping[str, str], *, is_whole: bool) -> tuple[Digest | None, tuple[Checksum, ...]]:
    """Return the SHA-256 and the other checksums of the whole dependency; `is_whole`: the answer has all its bytes."""
    if _FIELDS.isdisjoint(map(str.lower, headers)):
        return None, ()
    found = dict(_all(headers, is_whole=is_whole))
    raw = found.pop("sha256", None)
    digest = None if raw is None else Digest.of_hash(raw)
    return digest, tuple(Checksum(algorithm=name, value=value) for name, value in found.items())  # type: ignore[arg-type] # the names are those of _SIZES


def _all(headers: Mapping[str, str], *, is_whole: bool) -> Iterator[tuple[str, bytes]]:
    """Give algorithm and value; of several for one algorithm the last one is the most trustworthy."""
    if is_whole:
        if md5 := headers.get("Content-MD5"):
            yield from _member("md5", md5)
        yield from _members(headers.get("Content-Digest"))
    for name, algorithm in _HEXADECIMAL:
        if text := headers.get(name):
            yield from _sized(algorithm, _of_hex(text))
    if headers.get("X-Goog-Stored-Content-Encoding", "identity") == headers.get("Content-Encoding", "identity"):
        yield from _members(headers.get("X-Goog-Hash"))
    yield from _members(headers.get("Digest"))
    yield from _members(headers.get("Repr-Digest"))


def _members(header: str | None) -> Iterator[tuple[str, bytes]]:
    for member in header.split(",") if header else ():
        if match := _MEMBER.fullmatch(member):
            yield from _member(match[1].lower(), match[2])


def _member(name: str, text: str) -> Iterator[tuple[str, bytes]]:
    algorithm = _NAMES.get(name)
    if algorithm is not None:
        try:
            yield from _sized(algorithm, base64.b64decode(text, validate=True))
        except ValueError:
            return


def _sized(algorithm: str, value: bytes) -> Iterator[tuple[str, bytes]]:
    if len(value) == _SIZES[algorithm]:
        yield algorithm, value


def _of_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.strip())
    except ValueError:
        return b""
