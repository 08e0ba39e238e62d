"""What web servers answer: statuses told apart, odd servers borne, lies noticed."""

import base64
import gzip
import hashlib
from email.utils import formatdate

import pytest

from resolver.sources.base import Stat, Version
from resolver.sources.http import HttpSource
from staging_io.http import HttpClient
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    Denied,
    DigestMismatch,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
    Unauthenticated,
)
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, read
from tests.resolver import faulty_server as faults
from tests.resolver.conftest import Resolving, entry
from tests.resolver.faulty_server import Fault, FaultyServer
from tests.resolver.outside import outside

PACKED = gzip.compress(CONTENT)


@pytest.fixture
def source(http: HttpClient) -> HttpSource:
    return HttpSource(outside(http))


def stat(source: HttpSource, server: FaultyServer, name: str = "a.jar") -> Stat:
    return source.stat(DependencyUri.parse(f"{server.url}/{name}"))


def get(source: HttpSource, server: FaultyServer, name: str = "a.jar") -> bytes:
    return read(source, DependencyUri.parse(f"{server.url}/{name}"))


@pytest.mark.parametrize(("status", "kind", "told"), [
    (400, InvalidRequest, "400"), (401, Unauthenticated, "credentials are missing or wrong (asked as nobody)"),
    (403, Denied, "do not open it (asked as nobody)"), (404, NotFound, "it is not there"),
    (407, Denied, "the proxy wants credentials"), (410, NotFound, "gone for good"), (418, InvalidRequest, "418"),
    (408, SourceUnavailable, "408"), (425, SourceUnavailable, "425"), (429, TooManyRequests, "429"),
    (451, Denied, "legal reasons"), (500, SourceUnavailable, "500"), (502, SourceUnavailable, "502"),
    (503, SourceUnavailable, "503"), (504, SourceUnavailable, "504"), (304, InvalidRequest, "304"),
    (302, InvalidRequest, "302"), (204, InvalidRequest, "204"),
])  # fmt: skip
def test_statuses_are_told_apart(
    source: HttpSource, faulty: FaultyServer, status: int, kind: type[StagingError], told: str
) -> None:
    faulty.faults["/a.jar"] = [faults.status(status)] * 3
    for ask in (stat, get):
        with pytest.raises(kind) as caught:
            ask(source, faulty)
        assert type(caught.value) is kind
        assert told in caught.value.detail


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("value", "wait"), [
    ("7", 7.0), ("0", 0.0), (formatdate(1_800_000_030, usegmt=True), 30.0), ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
    (formatdate(1_700_000_000, usegmt=True), 0.0), ("soon", None), ("-5", None), ("", None), ("9" * 40, None),
])  # fmt: skip
def test_retry_after_is_seconds_or_a_date(
    source: HttpSource, faulty: FaultyServer, status: int, value: str, wait: float | None
) -> None:
    def fault(handler: faults.Handler) -> None:
        handler.date_time_string = lambda _timestamp=None: formatdate(1_800_000_000, usegmt=True)  # type: ignore[method-assign, assignment]
        handler.answer(status, b"", **{"Retry-After": value})

    faulty.faults["/a.jar"] = [fault]
    with pytest.raises((TooManyRequests, SourceUnavailable)) as caught:
        get(source, faulty)
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_server_without_head_is_asked_for_the_first_byte(
    source: HttpSource, faulty: FaultyServer, status: int
) -> None:
    faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.status(status)]
    assert stat(source, faulty) == Stat(size=len(CONTENT), version=Version(Digest.of(CONTENT).etag, strong=True))
    assert [method for method, _, _ in faulty.requests] == ["HEAD", "GET"]


def test_a_tag_without_quotes_is_compared_but_not_sent(source: HttpSource, faulty: FaultyServer) -> None:
    faulty.faults["/a.jar"] = [lambda handler: handler.answer(200, CONTENT, ETag="abc")] * 2
    version = stat(source, faulty).version
    assert version == Version("abc", strong=False)
    uri = DependencyUri.parse(f"{faulty.url}/a.jar")
    assert read(source, uri, version=version) == CONTENT
    assert "If-Match" not in faulty.headers[1]


# --- encodings


def encoded(coding: str, body: bytes) -> Fault:
    return lambda handler: handler.answer(200, body, **{"Content-Encoding": coding})


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "deflate", "zstd", "gzip, gzip"])
def test_bytes_that_are_encoded_unasked_are_refused(source: HttpSource, faulty: FaultyServer, coding: str) -> None:
    faulty.faults["/a.jar"] = [encoded(coding, PACKED)] * 2
    for ask in (stat, get):
        with pytest.raises(InvalidRequest, match="encoded with"):
            ask(source, faulty)
    assert faulty.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("name", ["env.tar.gz", "ENV.TGZ", "a.csv.gz"])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "X-GZIP"])
def test_a_packed_file_is_taken_as_it_is_though_called_encoded(
    source: HttpSource, faulty: FaultyServer, name: str, coding: str
) -> None:
    faulty.faults[f"/{name}"] = [encoded(coding, PACKED)]
    assert get(source, faulty, name) == PACKED


def test_identity_is_no_encoding(source: HttpSource, faulty: FaultyServer) -> None:
    faulty.faults["/a.jar"] = [encoded("identity", CONTENT)]
    assert get(source, faulty) == CONTENT


# --- whole downloads


def md5_of(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize("header", ["Repr-Digest", "Digest", "X-Checksum-Sha256"])
def test_a_digest_that_the_server_states_is_verified(resolving: Resolving, faulty: FaultyServer, header: str) -> None:
    def stating(content: bytes) -> Fault:
        digest = Digest.of(content)
        value = {"Repr-Digest": digest.repr_digest, "X-Checksum-Sha256": digest.hex}.get(
            header, f"sha-256={digest.repr_digest[9:-1]}"
        )
        return lambda handler: handler.serve(CONTENT, **{header: value})

    url = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [stating(CONTENT)] * 100
    assert resolving(entry(url, "a.jar"))[0].size == len(CONTENT)
    faulty.faults["/a.jar"] = [stating(b"others")] * 100
    with pytest.raises(DigestMismatch):
        resolving(entry(url, "b.jar"))
    assert "b.jar" not in resolving.names()


@pytest.mark.parametrize("fault", [
    faults.chunked(CONTENT),
    lambda handler: handler.answer(200, CONTENT, **{"Transfer-Encoding": "identity", "Connection": "close"}),
    lambda handler: handler.answer(200, CONTENT, ETag='W/"weak"'),
], ids=["chunked", "other transfer coding", "weak tag"])  # fmt: skip
def test_odd_but_whole_answers_give_the_file_or_an_error(
    resolving: Resolving, faulty: FaultyServer, fault: Fault
) -> None:
    url = faulty.put("a.jar", CONTENT)
    faulty.knows_ranges = faulty.sends_tags = False
    faulty.faults["/a.jar"] = [fault] * 3
    resolving(entry(url, "a.jar", content=CONTENT))
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) - 1, 1, len(CONTENT) + 1, 10 * len(CONTENT)])
def test_a_server_that_lies_about_the_size_never_gives_a_wrong_file(
    resolving: Resolving, faulty: FaultyServer, size: int
) -> None:
    url = faulty.put("a.jar", CONTENT)
    faulty.knows_ranges = False
    faulty.faults["/a.jar"] = [faults.lie(size=size)] * 100
    with pytest.raises((DigestMismatch, SourceUnavailable)):
        resolving(entry(url, "a.jar", content=CONTENT))
    assert "a.jar" not in resolving.names()


@pytest.mark.parametrize("text", [
    f"bytes 0-9/{len(CONTENT)}", f"bytes 10001-20000/{len(CONTENT)}", "bytes */100", "bytes 9-1/100", "nonsense", "",
])  # fmt: skip
def test_another_range_than_asked_for_is_not_taken(source: HttpSource, faulty: FaultyServer, text: str) -> None:
    url = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.wrong_range(text)]
    with pytest.raises(SourceUnavailable, match="asked for bytes from 10000"):
        read(source, DependencyUri.parse(url), start=10_000, stop=20_000)
