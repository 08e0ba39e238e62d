"""The digest of a remote dependency is that of its bytes, or an error, whatever its server does."""

import os
import threading
from collections.abc import Iterator

import pytest

from resolver.retry import Attempts, Clock
from resolver.settings import RetrySettings
from resolver.sources.http import HttpSource
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, InvalidRequest, SourceUnavailable, Terminated
from staging_protocol.uris import DependencyUri
from submission.locks.remote_digests import RemoteBytes, digest_of
from tests.resolver.faulty_server import Fault, FaultyServer, Handler, reset, status, truncate
from tests.resolver.outside import outside

CONTENT = os.urandom(700_000)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        running.put("a.jar", CONTENT)
        yield running


@pytest.fixture
def source() -> Iterator[HttpSource]:
    http = HttpClient(HttpSettings(connect_timeout=5, stall_timeout=5))
    yield HttpSource(outside(http))
    http.close()


def read(server: FaultyServer, source: HttpSource, *, positions: list[int] | None = None) -> RemoteBytes:
    uri = DependencyUri.parse(f"{server.url}/a.jar")
    retry = RetrySettings(attempts=3, first_wait=0.01, longest_wait=0.01)
    return digest_of(
        uri,
        source=source,
        reached=(positions if positions is not None else []).append,
        attempts=Attempts(str(uri), retry, Clock(60), lambda _name, _error, _seconds: None),
        stop=threading.Event(),
    )


def test_it_is_read_once(server: FaultyServer, source: HttpSource) -> None:
    positions: list[int] = []

    found = read(server, source, positions=positions)

    assert (found.digest, found.stat.size) == (Digest.of(CONTENT), len(CONTENT))
    assert positions[-1] == len(CONTENT)
    assert len(server.requests) == 1


def test_nothing_has_a_digest_too(server: FaultyServer, source: HttpSource) -> None:
    server.put("a.jar", b"")

    assert read(server, source).digest == Digest.of(b"")


@pytest.mark.parametrize("fault", [reset(after=300_000), truncate(after=300_000), status(503)])
def test_what_breaks_off_goes_on_where_it_stopped(server: FaultyServer, source: HttpSource, fault: Fault) -> None:
    server.faults["/a.jar"] = [fault]

    assert read(server, source).digest == Digest.of(CONTENT)
    assert len(server.requests) == 2


@pytest.mark.parametrize(("tags", "ranges"), [(False, True), (True, False), (False, False)])
def test_without_strong_tags_or_ranges_it_begins_again(
    server: FaultyServer, source: HttpSource, *, tags: bool, ranges: bool
) -> None:
    server.sends_tags, server.knows_ranges = tags, ranges
    server.faults["/a.jar"] = [reset(after=300_000)]

    assert read(server, source).digest == Digest.of(CONTENT)


def test_what_changes_while_it_is_read_is_read_anew(server: FaultyServer, source: HttpSource) -> None:
    other = os.urandom(len(CONTENT))

    def broken_and_changed(handler: Handler) -> None:
        truncate(after=300_000)(handler)
        server.put("a.jar", other)

    server.faults["/a.jar"] = [broken_and_changed]

    assert read(server, source).digest == Digest.of(other)


def test_bytes_of_two_states_are_never_put_together_where_nothing_tells_them_apart(
    server: FaultyServer, source: HttpSource
) -> None:
    other = os.urandom(len(CONTENT))
    server.sends_tags = False

    def broken_and_changed(handler: Handler) -> None:
        handler.answer(200, CONTENT[:300_000], **{"Content-Length": str(len(CONTENT))})
        handler.close_connection = True
        server.put("a.jar", other)

    server.faults["/a.jar"] = [broken_and_changed]

    assert read(server, source).digest == Digest.of(other)


def test_a_server_that_stays_away_is_given_up(server: FaultyServer, source: HttpSource) -> None:
    server.faults["/a.jar"] = [status(503)] * 10

    with pytest.raises(SourceUnavailable):
        read(server, source)

    assert len(server.requests) == 3


def test_bytes_that_are_not_what_their_source_states_are_an_error(server: FaultyServer, source: HttpSource) -> None:
    server.repr_digest = Digest.of(b"another").repr_digest

    with pytest.raises(DigestMismatch):
        read(server, source)


def test_bytes_without_an_announced_end_have_no_digest(server: FaultyServer, source: HttpSource) -> None:
    def endless(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome bytes")

    server.faults["/a.jar"] = [endless]

    with pytest.raises(InvalidRequest, match="without a size"):
        read(server, source)


def test_it_can_be_interrupted(server: FaultyServer, source: HttpSource) -> None:
    stop = threading.Event()
    stop.set()
    uri = DependencyUri.parse(f"{server.url}/a.jar")
    attempts = Attempts(str(uri), RetrySettings(), Clock(60), lambda _name, _error, _seconds: None)

    with pytest.raises(Terminated):
        digest_of(uri, source=source, reached=lambda _at: None, attempts=attempts, stop=stop)
