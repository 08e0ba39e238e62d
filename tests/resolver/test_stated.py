"""Checksums that servers state in headers."""

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.sources.base import Checksum
from resolver.sources.stated import stated
from staging_io.http1 import Headers
from staging_protocol.digests import Digest

BODY = b"some bytes"
SHA256 = Digest.of(BODY)
MD5 = hashlib.md5(BODY, usedforsecurity=False).digest()
SHA1 = hashlib.sha1(BODY, usedforsecurity=False).digest()
CRC = zlib.crc32(BODY).to_bytes(4)


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def of(*lines: str, is_whole: bool = True) -> tuple[Digest | None, dict[str, bytes]]:
    digest, checksums = stated(Headers(list(lines)), is_whole=is_whole)
    assert all(isinstance(one, Checksum) and not one.parts for one in checksums)
    return digest, {one.algorithm: one.value for one in checksums}


RAW = bytes.fromhex(SHA256.hex)


@pytest.mark.parametrize(("line", "digest", "others"), [
    (f"Repr-Digest: sha-256=:{b64(RAW)}:", SHA256, {}),
    (f"Repr-Digest: sha-512=:{b64(b'x' * 64)}:, sha-256=:{b64(RAW)}:", SHA256, {}),
    (f"Repr-Digest: md5=:{b64(MD5)}:", None, {"md5": MD5}),
    (f"Digest: SHA-256={b64(RAW)},MD5={b64(MD5)}, SHA={b64(SHA1)}", SHA256, {"md5": MD5, "sha1": SHA1}),
    (f"Content-Digest: sha-256=:{b64(RAW)}:", SHA256, {}),
    (f"Content-MD5: {b64(MD5)}", None, {"md5": MD5}),
    (f"X-Checksum-Sha256: {SHA256.hex}", SHA256, {}),
    (f"X-Checksum-Sha256: {SHA256.hex.upper()}", SHA256, {}),
    (f"X-Checksum-Sha1: {SHA1.hex()}", None, {"sha1": SHA1}), (f"X-Checksum-Md5: {MD5.hex()}", None, {"md5": MD5}),
    (f"x-goog-hash: crc32c={b64(CRC)},md5={b64(MD5)}", None, {"md5": MD5, "crc32c": CRC}),
    ("Repr-Digest: sha-256=:AAAA:", None, {}), ("X-Checksum-Sha256: nonsense", None, {}), ("Content-MD5: !", None, {}),
    ("Digest: adler32=03da0195", None, {}), ("Repr-Digest: ,,=,", None, {}), ("X-Checksum-Md5: ff", None, {}),
])  # fmt: skip
def test_each_header(line: str, digest: Digest | None, others: dict[str, bytes]) -> None:
    assert of(line) == (digest, others)


def test_several_headers_are_put_together() -> None:
    found = of(f"X-Checksum-Sha1: {SHA1.hex()}", f"x-goog-hash: crc32c={b64(CRC)}", f"x-goog-hash: md5={b64(MD5)}")
    assert found == (None, {"sha1": SHA1, "crc32c": CRC, "md5": MD5})


@pytest.mark.parametrize("line", [f"Content-MD5: {b64(MD5)}", f"Content-Digest: sha-256=:{b64(RAW)}:"])
def test_what_is_said_of_a_part_is_not_said_of_the_whole(line: str) -> None:
    assert of(line, is_whole=False) == (None, {})


def test_a_hash_of_stored_bytes_is_not_one_of_decoded_bytes() -> None:
    stored, crc = "X-Goog-Stored-Content-Encoding: gzip", f"x-goog-hash: crc32c={b64(CRC)}"
    assert of(stored, crc) == (None, {})
    assert of(stored, "Content-Encoding: gzip", crc) == (None, {"crc32c": CRC})
    assert of("X-Goog-Stored-Content-Encoding: identity", crc) == (None, {"crc32c": CRC})


@given(
    st.sampled_from(["Repr-Digest", "Digest", "Content-MD5", "X-Checksum-Sha1", "x-goog-hash"]), st.text(max_size=80)
)
def test_no_text_of_a_server_is_an_error(name: str, text: str) -> None:
    stated({name: text}, is_whole=True)
