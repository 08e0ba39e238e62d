"""Digests cannot be wrong, and any chunking of the bytes gives the same one."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest


@given(st.binary(max_size=4096), st.lists(st.integers(min_value=1, max_value=512), min_size=1, max_size=20))
def test_any_chunking_gives_the_same_digest(data: bytes, sizes: list[int]) -> None:
    running, position, turn = hashlib.sha256(), 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        running.update(data[position : position + size])
        position, turn = position + size, turn + 1
    assert Digest.of_hash(running.digest()) == Digest.of(data)


@given(st.binary(max_size=64))
def test_the_repr_digest_header_gives_the_digest_back(data: bytes) -> None:
    digest = Digest.of(data)
    assert Digest.of_repr_digest(f"crc32c=:AAAAAA==:, {digest.repr_digest}") == digest


def test_a_header_without_sha_256_has_no_digest() -> None:
    assert Digest.of_repr_digest("sha-512=:AAAA:") is None


def test_the_entity_tag_is_strong_and_quoted() -> None:
    assert Digest.of(b"").etag == f'"sha256:{hashlib.sha256().hexdigest()}"'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "a" * 64,
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 63,
        "sha512:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Digest(text)
