"""What the engine does when a server fails, lies or changes its mind."""

import os
import random
import threading
import time
from pathlib import Path

import pytest

from resolver.parallelism import START
from resolver.run import Silent
from resolver.settings import ResolveSettings, RetrySettings
from staging_io.files import sole_writer
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    DeadlineExceeded,
    Denied,
    DigestMismatch,
    InvalidRequest,
    NotFound,
    RequestInProgress,
    SourceChanged,
    SourceUnavailable,
    StagingError,
    TooManyRequests,
)
from tests.resolver import faulty_server as faults
from tests.resolver.conftest import QUICK, Resolving, entry
from tests.resolver.faulty_server import FaultyServer

CONTENT = random.Random(1).randbytes(45_678)  # noqa: S311 - test data; five parts of 10,000 bytes
SMALL = random.Random(2).randbytes(5_000)  # noqa: S311 - test data


class Noting(Silent):
    def __init__(self) -> None:
        self.waits: list[tuple[str, float]] = []

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        assert uri
        self.waits.append((error.code, seconds))


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset(after=0), faults.reset(after=3000), faults.truncate(after=0), faults.truncate(after=3000),
        faults.status(503), faults.status(500), faults.status(502), faults.status(504), faults.status(429),
        faults.status(408), faults.status(425), faults.wrong_range("bytes 7-16/45678"), faults.wrong_range("nonsense"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("content", [CONTENT, SMALL], ids=["parts", "one piece"])
def test_a_passing_fault_is_mended(
    resolving: Resolving, faulty: FaultyServer, fault: faults.Fault, content: bytes
) -> None:
    uri = faulty.put("a.jar", content)
    faulty.faults["/a.jar"] = [fault]
    (resolved,) = resolving(entry(uri, "a.jar", content=content))
    assert resolved.digest == Digest.of(content)
    assert (resolving.folder / "a.jar").read_bytes() == content
    assert resolving.names() == {"a.jar"}


def test_what_arrived_of_a_part_is_not_asked_for_again(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", SMALL)
    faulty.faults["/a.jar"] = [faults.truncate(after=3000)]
    resolving(entry(uri, "a.jar", content=SMALL))
    assert [span for _, _, span in faulty.requests] == [None, "bytes=3000-4999"]


def test_a_source_that_moves_on_is_not_given_up(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", SMALL)
    faulty.faults["/a.jar"] = [faults.truncate(after=300) for _ in range(3 * QUICK.attempts)]
    resolving(entry(uri, "a.jar", content=SMALL))
    assert (resolving.folder / "a.jar").read_bytes() == SMALL


def test_a_source_that_brings_nothing_is_given_up(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", SMALL)
    faulty.faults["/a.jar"] = [faults.status(503)] * 100
    with pytest.raises(SourceUnavailable) as caught:
        resolving(entry(uri, "a.jar", content=SMALL))
    assert caught.value.exit_code == 44
    assert len(faulty.requests) == QUICK.attempts
    assert resolving.names() == set()


def test_a_server_decides_when_it_is_asked_again(resolving: Resolving, faulty: FaultyServer) -> None:
    noting = Noting()
    uri = faulty.put("a.jar", SMALL)
    faulty.faults["/a.jar"] = [faults.status(503, Retry_After="1")]
    resolving(entry(uri, "a.jar", content=SMALL), observer=noting)
    assert [code for code, _ in noting.waits] == ["source-unavailable"]
    assert noting.waits[0][1] >= 1.0


def test_a_date_in_retry_after_is_measured_by_the_servers_clock(resolving: Resolving, faulty: FaultyServer) -> None:
    noting = Noting()
    uri = faulty.put("a.jar", SMALL)
    dates = {"Date": "Sun, 22 Nov 2026 08:00:00 GMT", "Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT"}
    faulty.faults["/a.jar"] = [lambda handler: _only(handler, dates)]
    with pytest.raises(DeadlineExceeded) as caught:
        resolving(entry(uri, "a.jar", content=SMALL), observer=noting)
    assert caught.value.exit_code == 45
    assert "429" in caught.value.detail


def _only(handler: faults.Handler, headers: dict[str, str]) -> None:
    handler.send_response_only(429)
    for name, value in ({"Content-Length": "0"} | headers).items():
        handler.send_header(name, value)
    handler.end_headers()


def test_a_stalled_source_counts_as_gone(resolving: Resolving, faulty: FaultyServer) -> None:
    resolving.http = HttpClient(HttpSettings(stall_timeout=0.2))
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.stall(after=2000)]
    resolving(entry(uri, "a.jar", content=CONTENT))
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT
    resolving.http.close()


def test_the_deadline_ends_a_run_that_is_stalled(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.stall(after=2000)]
    with pytest.raises(DeadlineExceeded) as caught:
        resolving(entry(uri, "a.jar", content=CONTENT), settings=ResolveSettings(deadline=0.5))
    assert caught.value.exit_code == 45
    assert resolving.names() == set()
    faulty.over.set()


@pytest.mark.parametrize("content", [CONTENT, SMALL], ids=["parts", "one piece"])
def test_a_wrong_digest_is_fetched_once_more(resolving: Resolving, faulty: FaultyServer, content: bytes) -> None:
    uri = faulty.put("a.jar", content)
    faulty.faults["/a.jar"] = [faults.corrupt(content)]
    resolving(entry(uri, "a.jar", content=content))
    assert (resolving.folder / "a.jar").read_bytes() == content


@pytest.mark.parametrize("content", [CONTENT, SMALL], ids=["parts", "one piece"])
def test_a_digest_that_is_wrong_twice_is_refused(resolving: Resolving, faulty: FaultyServer, content: bytes) -> None:
    uri = faulty.put("a.jar", content)
    faulty.faults["/a.jar"] = [faults.corrupt(content)] * 100
    with pytest.raises(DigestMismatch) as caught:
        resolving(entry(uri, "a.jar", content=content))
    assert caught.value.exit_code == 42
    assert Digest.of(content) in caught.value.detail
    assert resolving.names() == set()


def test_the_digest_that_a_server_states_is_checked(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", SMALL)
    faulty.repr_digest = Digest.of(b"something else").repr_digest
    with pytest.raises(DigestMismatch):
        resolving(entry(uri, "a.jar"))
    assert resolving.names() == set()


@pytest.mark.parametrize("size", [4_000, 6_000])
def test_a_size_other_than_the_promised_one_is_refused(resolving: Resolving, faulty: FaultyServer, size: int) -> None:
    uri = faulty.put("a.jar", SMALL[:size].ljust(size, b"x"))
    with pytest.raises(DigestMismatch):
        resolving(entry(uri, "a.jar", content=SMALL))
    assert resolving.names() == set()


@pytest.mark.parametrize("size", [4_000, 6_000])
def test_an_unannounced_size_is_checked_too(resolving: Resolving, faulty: FaultyServer, size: int) -> None:
    uri = faulty.put("a.jar", SMALL)
    faulty.faults["/a.jar"] = [faults.chunked(SMALL[:size].ljust(size, b"x"))] * 5
    with pytest.raises(DigestMismatch):
        resolving(entry(uri, "a.jar", content=SMALL))


@pytest.mark.parametrize("known", [True, False])
def test_a_body_without_a_size_is_taken_as_it_comes(resolving: Resolving, faulty: FaultyServer, *, known: bool) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.chunked(CONTENT)]
    (resolved,) = resolving(entry(uri, "a.jar", content=CONTENT if known else None))
    assert (resolved.digest, resolved.size) == (Digest.of(CONTENT) if known else None, len(CONTENT))
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT


@pytest.mark.parametrize("known", [True, False])
def test_a_body_that_only_the_connection_ends_needs_a_digest(
    resolving: Resolving, faulty: FaultyServer, *, known: bool
) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.without_size(CONTENT[:20_000]), faults.without_size(CONTENT)]
    if known:
        resolving(entry(uri, "a.jar", content=CONTENT))
        assert (resolving.folder / "a.jar").read_bytes() == CONTENT
        return
    with pytest.raises(InvalidRequest) as caught:
        resolving(entry(uri, "a.jar"))
    assert "digest" in caught.value.detail
    assert resolving.names() == set()


def test_an_announced_size_that_is_too_large_never_makes_a_file(resolving: Resolving, faulty: FaultyServer) -> None:
    faulty.knows_ranges = False
    uri = faulty.put("a.jar", SMALL)
    faulty.faults["/a.jar"] = [faults.lie(size=6_000)] * 100
    with pytest.raises(StagingError):
        resolving(entry(uri, "a.jar"))
    assert resolving.names() == set()


@pytest.mark.parametrize("tags", [True, False])
def test_a_server_without_ranges_begins_again_and_we_read_over_what_we_have(
    resolving: Resolving, faulty: FaultyServer, *, tags: bool
) -> None:
    faulty.knows_ranges, faulty.sends_tags = False, tags
    uri = faulty.put("a.jar", CONTENT)

    def break_off(handler: faults.Handler) -> None:
        headers = {"ETag": Digest.of(CONTENT).etag} if tags else {}
        handler.answer(200, CONTENT[:20_000], **headers, **{"Content-Length": str(len(CONTENT))})
        handler.close_connection = True

    faulty.faults["/a.jar"] = [break_off]
    resolving(entry(uri, "a.jar"))
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT
    assert len(faulty.requests) == 2


def test_a_file_that_changes_on_the_way_is_fetched_anew_once(resolving: Resolving, faulty: FaultyServer) -> None:
    other = bytes(reversed(CONTENT))
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [lambda handler: handler.serve(CONTENT), faults.change_to(other)]
    (resolved,) = resolving(entry(uri, "a.jar"))
    assert resolved.size == len(other)
    assert (resolving.folder / "a.jar").read_bytes() == other
    assert (resolving.folder / "a.jar").read_bytes() == other


def test_a_file_that_changes_all_the_time_is_refused(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.change_to(os.urandom(len(CONTENT))) for _ in range(100)]
    with pytest.raises(SourceChanged):
        resolving(entry(uri, "a.jar"))
    assert resolving.names() == set()


@pytest.mark.parametrize(("code", "error"), [(404, NotFound), (403, Denied), (410, NotFound)])
def test_what_does_not_pass_is_not_tried_again(
    resolving: Resolving, faulty: FaultyServer, code: int, error: type[StagingError]
) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.status(code)] * 2
    with pytest.raises(error):
        resolving(entry(uri, "a.jar"))
    assert len(faulty.requests) == 1


def test_an_overloaded_server_is_given_up_as_such(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.status(429)] * 100
    with pytest.raises(TooManyRequests):
        resolving(entry(uri, "a.jar"))


def test_an_overloaded_server_is_asked_less(resolving: Resolving, faulty: FaultyServer) -> None:
    names = [f"{number}.jar" for number in range(12)]
    entries = [entry(faulty.put(name, SMALL), name, content=SMALL) for name in names]
    crowd, at_once = Crowd(), []
    # Every first request waits until four are there, and is refused; what is asked from then on is counted.
    everybody = threading.Barrier(START)

    def refuse(handler: faults.Handler) -> None:
        everybody.wait(20)
        faults.status(503)(handler)

    def serve(handler: faults.Handler) -> None:
        with crowd:
            at_once.append(crowd.most)
            handler.serve(SMALL)

    for name in names:
        faulty.faults[f"/{name}"] = [*([refuse] if name in names[:START] else []), serve]
    resolving(*entries)
    assert len(at_once) == len(names)
    assert crowd.most < START


class Crowd:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


def test_one_failure_ends_the_run_and_leaves_what_was_whole(resolving: Resolving, faulty: FaultyServer) -> None:
    good, bad = faulty.put("good.jar", SMALL), f"{faulty.url}/bad.jar"
    settings = ResolveSettings(connections=1, retry=RetrySettings(attempts=2, first_wait=0.01))
    with pytest.raises(NotFound) as caught:
        resolving(entry(good, "good.jar", content=SMALL), entry(bad, "bad.jar"), settings=settings)
    assert "bad.jar" in caught.value.detail
    assert resolving.names() == {"good.jar"}


def test_an_old_file_stays_until_the_new_one_is_whole(resolving: Resolving, faulty: FaultyServer) -> None:
    resolving.folder.mkdir()
    (resolving.folder / "a.jar").write_bytes(b"old")
    seen: list[bytes] = []

    def look(handler: faults.Handler) -> None:
        seen.append(Path(resolving.folder / "a.jar").read_bytes())
        handler.serve(SMALL)

    uri = faulty.put("a.jar", SMALL)
    faulty.faults["/a.jar"] = [look]
    resolving(entry(uri, "a.jar", content=SMALL))
    assert seen == [b"old"]
    assert (resolving.folder / "a.jar").read_bytes() == SMALL


def test_nobody_else_begins_while_a_thread_of_an_ended_run_may_still_write(
    resolving: Resolving, faulty: FaultyServer
) -> None:
    one = entry(faulty.put("a.jar", SMALL), "a.jar", content=SMALL)
    faulty.faults["/a.jar"] = [faults.stall(after=2000)]
    with pytest.raises(DeadlineExceeded):
        resolving(one, settings=ResolveSettings(deadline=0.3))
    with pytest.raises(RequestInProgress):
        resolving(one)
    faulty.over.set()  # the stalled read ends, and with it the thread
    deadline = time.monotonic() + 20
    while not _is_free(resolving.folder):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    resolving(one)
    assert (resolving.folder / "a.jar").read_bytes() == SMALL


def _is_free(folder: Path) -> bool:
    try:
        with sole_writer(folder):
            return True
    except RequestInProgress:
        return False
