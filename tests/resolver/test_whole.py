"""Files that one answer brings whole into one buffer, and what becomes of those that looked like it."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.records import Record, Records
from resolver.settings import ResolveSettings
from staging_io.files import HIDDEN_PREFIX, hidden
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, NotFound, SourceChanged
from tests.resolver import faulty_server as faults
from tests.resolver.conftest import QUICK, Resolving, entry
from tests.resolver.faulty_server import FaultyServer

CONTENT = random.Random(3).randbytes(20_000)  # noqa: S311 - test data
OTHER = CONTENT[::-1]
SETTINGS = ResolveSettings(retry=QUICK, part_size=100_000, buffer_size=50_000, deadline=60)
"""The file fits into a buffer."""


def files(resolving: Resolving) -> list[bytes]:
    """Return what is visible, and what is half done."""
    return [
        path.read_bytes()
        for path in resolving.folder.iterdir()
        if not path.name.startswith(HIDDEN_PREFIX) or path.suffix == ".part"
    ]


@pytest.mark.parametrize("known", [True, False], ids=["digest known", "nothing known"])
@pytest.mark.parametrize("content", [CONTENT, b""], ids=["some bytes", "no bytes"])
def test_one_request_brings_it(resolving: Resolving, faulty: FaultyServer, content: bytes, *, known: bool) -> None:
    uri = faulty.put("a.jar", content)
    (resolved,) = resolving(entry(uri, "a.jar", content=content if known else None), settings=SETTINGS)
    assert (files(resolving), resolved.size, len(faulty.requests)) == ([content], len(content), 1)


def test_nothing_of_it_is_on_the_disk_before_all_of_it_is_checked(resolving: Resolving, faulty: FaultyServer) -> None:
    seen: list[list[bytes]] = []

    def half(handler: faults.Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:10_000])
        seen.append(files(resolving))
        handler.wfile.write(OTHER[10_000:])

    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [half, half]
    with pytest.raises(DigestMismatch, match=r"a\.jar has sha256:"):
        resolving(entry(uri, "a.jar", content=CONTENT), settings=SETTINGS)
    assert [*seen, files(resolving)] == [[], [], []]


def test_what_broke_off_goes_on_where_it_stopped(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.truncate(after=7_000)]
    resolving(entry(uri, "a.jar", content=CONTENT), settings=SETTINGS)
    assert files(resolving) == [CONTENT]
    assert [asked for _, _, asked in faulty.requests] == [None, f"bytes=7000-{len(CONTENT) - 1}"]


def test_what_changes_after_it_broke_off_is_fetched_anew(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.truncate(after=7_000), faults.change_to(OTHER)]
    resolving(entry(uri, "a.jar"), settings=SETTINGS)
    assert files(resolving) == [OTHER]


@pytest.mark.parametrize("fault", [faults.status(503), faults.reset(after=0), faults.wrong_range("nonsense")])
def test_a_first_question_that_fails_is_asked_again(
    resolving: Resolving, faulty: FaultyServer, fault: faults.Fault
) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [fault] * 3
    resolving(entry(uri, "a.jar"), settings=SETTINGS)
    assert (files(resolving), len(faulty.requests)) == ([CONTENT], 4)


def test_what_is_not_there_is_asked_for_once(resolving: Resolving, faulty: FaultyServer) -> None:
    with pytest.raises(NotFound):
        resolving(entry(f"{faulty.url}/a.jar", "a.jar"), settings=SETTINGS)
    assert len(faulty.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [faults.change_to, faults.chunked, faults.without_size, faults.corrupt],
    ids=lambda answer: answer.__name__,
)
def test_a_wrong_file_is_fetched_once_more_however_it_comes(
    resolving: Resolving, faulty: FaultyServer, answer: Callable[[bytes], faults.Fault]
) -> None:
    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [answer(OTHER)]

    def again(handler: faults.Handler) -> None:
        handler.owner.files["/a.jar"] = CONTENT
        handler.serve(CONTENT)

    faulty.faults["/a.jar"].append(again)
    resolving(entry(uri, "a.jar", content=CONTENT), settings=SETTINGS)
    assert (files(resolving), len(faulty.requests)) == ([CONTENT], 2)


def test_a_size_that_was_not_promised_is_refused(resolving: Resolving, faulty: FaultyServer) -> None:
    uri = faulty.put("a.jar", CONTENT + b"more")
    with pytest.raises((DigestMismatch, SourceChanged), match="has 20004 bytes, expected 20000"):
        resolving(entry(uri, "a.jar", content=CONTENT), settings=SETTINGS)
    assert files(resolving) == []


def test_what_does_not_fit_is_not_asked_for_twice(resolving: Resolving, faulty: FaultyServer) -> None:
    large = random.Random(4).randbytes(90_000)  # noqa: S311 - test data
    resolving(entry(faulty.put("a.jar", large), "a.jar"), settings=SETTINGS)
    assert (files(resolving), len(faulty.requests)) == ([large], 1)


def test_records_of_many_files_are_there_at_the_end_and_what_is_taken_back_at_once(tmp_path: Path) -> None:
    def record(target: str) -> Record:
        return Record(target=target, size=1, digest=Digest.of(target.encode()))

    before = Records(tmp_path, durable=False)
    for number in range(100):
        before.remember(record(f"{number}.jar"))
    before.end()
    now = Records(tmp_path, durable=False)
    assert [now.of(f"{number}.jar") for number in range(100)] == [record(f"{number}.jar") for number in range(100)]
    now.remember(record("new.jar"))
    now.remember(record("newer.jar"))
    now.forget("7.jar")
    lines = hidden(tmp_path / ".records", "jsonl").read_bytes().splitlines()
    assert lines[-1] == b'{"target":"7.jar"}'
    assert len(lines) == 103
    now.end()
