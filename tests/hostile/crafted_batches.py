"""Batches of small blobs that are not what a batch is: lines that lie, and bodies that do not fit their line."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from tests.hostile.crafted import HostileRequest, case, send

_TARGET: Final = b"/v1/namespaces/team-a/blobs"
_TYPE: Final = b"Content-Type: application/vnd.spark-staging.blobs"
_BAD: Final = (400, "invalid-request")
_LARGE: Final = (413, "too-large")
_MIB: Final = 1024 * 1024


def batch(line: bytes, content: bytes = b"", *fields: bytes) -> bytes:
    """Return a batch with that first line, without its end, and those bytes."""
    return send(b"POST", _TARGET, _TYPE, *fields, body=line + b"\n" + content)


def line(*sizes: object) -> bytes:
    """Return a first line with a blob of each size."""
    return json.dumps(
        {"blobs": [{"digest": _digest(number), "size": size} for number, size in enumerate(sizes)]}
    ).encode()


def _digest(number: int) -> str:
    return f"sha256:{number:064x}"


def lines() -> Iterator[HostileRequest]:
    """Yield first lines that are none."""
    twice = json.dumps({"blobs": [{"digest": _digest(1), "size": 1}] * 2}).encode()
    for name, text in (
        ("empty", b""), ("null", b"null"), ("array", b"[]"), ("no-blobs", b"{}"), ("zero-blobs", b'{"blobs":[]}'),
        ("blobs-null", b'{"blobs":null}'), ("cut", b'{"blobs":['), ("binary", bytes(range(128, 200))),
        ("carriage-return", b"\r"), ("deep", b"[" * 60_000), ("twice", twice), ("negative", line(-1)),
        ("fraction", line(1.5)), ("size-null", line(None)), ("size-text", line("1")), ("gigantic", line(10**30)),
        ("other-digest", b'{"blobs":[{"digest":"md5:ab","size":0}]}'), ("no-size", b'{"blobs":[{"digest":"%s"}]}'),
        ("digest-newline", b'{"blobs":[{"digest":"sha256:%s\\n","size":0}]}' % (b"a" * 64)),
    ):  # fmt: skip
        yield case(f"batch-line-{name}", batch(text, b"a"), *_BAD)
    yield case("batch-without-a-line", send(b"POST", _TARGET, _TYPE, body=b"no end"), *_BAD)
    yield case("batch-without-a-body", send(b"POST", _TARGET, _TYPE, b"Content-Length: 0"), *_BAD)
    yield case("batch-line-too-long", batch(b" " * 70_000 + line(1), b"a"), *_BAD)


def sizes() -> Iterator[HostileRequest]:
    """Yield bodies that are not as large as they say, and those that are too large."""
    yield case("batch-one-byte-less", batch(line(2), b"a"), *_BAD)
    yield case("batch-one-byte-more", batch(line(2), b"abc"), *_BAD)
    yield case("batch-sizes-that-overflow", batch(line(2**63 - 1, 2**63 - 1), b"a"), *_LARGE)
    yield case("batch-of-too-many", batch(line(*[0] * 129)), *_LARGE)
    yield case("batch-with-a-large-blob", batch(line(_MIB + 1), b"a"), *_LARGE)
    yield case("batch-of-too-many-bytes", batch(line(*[_MIB] * 9), b"a"), *_LARGE)
    for size in (8 * _MIB + 64 * 1024 + 1, 2**62):
        length = b"Content-Length: %d" % size
        yield case(f"batch-length-{size}", send(b"POST", _TARGET, _TYPE, length), *_LARGE)
    chunked = b"Transfer-Encoding: chunked"
    yield case("batch-in-chunks", send(b"POST", _TARGET, _TYPE, chunked, body=b"0\r\n\r\n"), 411, "size-required")
    yield case("batch-without-a-length", send(b"POST", _TARGET, _TYPE), 411, "size-required")
    for name, field in (("json", b"application/json"), ("bytes", b"application/octet-stream"), ("none", b"")):
        other = send(b"POST", _TARGET, b"Content-Type: " + field, body=line(1) + b"\na")
        yield case(f"batch-as-{name}", other, 415, "unsupported-encoding")
    yield case("batch-gzip", batch(line(1), b"a", b"Content-Encoding: gzip"), 415, "unsupported-encoding")


def unwanted() -> Iterator[HostileRequest]:
    """Yield batches that nobody asked for."""
    yield case("batch-not-wanted", batch(line(1, 2, 0), b"abc"), 409, "blob-not-wanted")
    held = {"digest": f"sha256:{sha256(b'content').hexdigest()}", "size": 8}
    yield case(
        "batch-held-with-another-size", batch(json.dumps({"blobs": [held]}).encode(), b"x" * 8), 409, "blob-not-wanted"
    )
