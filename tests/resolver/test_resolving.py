"""Resolving as a whole: reuse, leftovers, journals, memory, and what is visible when."""

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.retry import Clock
from resolver.run import MAX_IN_FLIGHT, InFlight, Progress, Resolved, Run, Silent
from resolver.settings import ResolveSettings, RetrySettings
from resolver.signals import ending_on_signals
from staging_io.files import UnfinishedFile, hidden, sole_writer
from staging_io.http import HttpClient
from staging_protocol.errors import InvalidRequest, NoSpace, NotFound, RequestInProgress, SourceUnavailable, Terminated
from staging_protocol.manifest import Kind, Manifest
from staging_protocol.wire import encode
from tests.resolver import faulty_server as faults
from tests.resolver.conftest import QUICK, Resolving, entry
from tests.resolver.faulty_server import FaultyServer
from tests.services.nginx import Nginx

CONTENT = random.Random(3).randbytes(95_000)  # noqa: S311 - test data
JOURNALED = ResolveSettings(
    journal=True, durable=True, part_size=10_000, buffer_size=1000, retry=RetrySettings(attempts=1), connections=1
)


def test_a_second_run_moves_nothing(resolving: Resolving, faulty: FaultyServer) -> None:
    entries = [entry(faulty.put(f"{number}.jar", CONTENT), f"{number}.jar", content=CONTENT) for number in range(5)]
    resolving(*entries)
    asked = len(faulty.requests)
    assert [resolved.reused for resolved in resolving(*entries)] == [True] * 5
    assert len(faulty.requests) == asked


def test_a_damaged_file_is_brought_again(resolving: Resolving, faulty: FaultyServer) -> None:
    one = entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT)
    resolving(one)
    (resolving.folder / "a.jar").write_bytes(CONTENT[:-1] + b"?")
    assert [resolved.reused for resolved in resolving(one)] == [False]
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT


def test_without_a_digest_a_strong_version_proves_that_nothing_changed(
    resolving: Resolving, faulty: FaultyServer
) -> None:
    one = entry(faulty.put("a.jar", CONTENT), "a.jar")
    resolving(one)
    assert [resolved.reused for resolved in resolving(one)] == [True]
    faulty.put("a.jar", CONTENT[1:])
    assert [resolved.reused for resolved in resolving(one)] == [False]
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT[1:]


def test_without_digest_and_version_it_is_brought_again(resolving: Resolving, faulty: FaultyServer) -> None:
    faulty.sends_tags = False
    one = entry(faulty.put("a.jar", CONTENT), "a.jar")
    resolving(one)
    assert [resolved.reused for resolved in resolving(one)] == [False]


def test_results_come_in_the_order_of_the_manifest(resolving: Resolving, faulty: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "here.jar").write_bytes(b"here")
    names = [f"{number}.jar" for number in range(20)]
    entries = [entry(faulty.put(name, name.encode()), name, content=name.encode()) for name in names]
    entries.insert(7, entry(f"LOCAL:{tmp_path}/here.jar", "here.jar"))
    found = resolving(*entries)
    assert [resolved.target for resolved in found] == [*names[:7], "here.jar", *names[7:]]


def test_a_missing_container_local_dependency_is_told_before_anything_moves(
    resolving: Resolving, faulty: FaultyServer
) -> None:
    with pytest.raises(NotFound, match=r"/nowhere/a\.jar"):
        resolving(entry(faulty.put("b.jar", CONTENT), "b.jar"), entry("local:///nowhere/a.jar", "a.jar", kind=Kind.JAR))
    assert faulty.requests == []


def test_leftovers_of_a_killed_run_are_removed(resolving: Resolving, faulty: FaultyServer) -> None:
    resolving.folder.mkdir()
    for name in ("other.jar", "a.jar"):
        hidden(resolving.folder / name, "part").write_bytes(b"half")
    hidden(resolving.folder / "env", "tree").mkdir()
    (hidden(resolving.folder / "env", "tree") / "x").write_bytes(b"half")
    (resolving.folder / ".spark-staging-of-a-user").write_bytes(b"mine")
    resolving(entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT))
    assert resolving.names() == {"a.jar", ".spark-staging-of-a-user"}


def test_two_runs_do_not_write_into_one_folder(resolving: Resolving, faulty: FaultyServer) -> None:
    resolving.folder.mkdir()
    with sole_writer(resolving.folder), pytest.raises(RequestInProgress):
        resolving(entry(faulty.put("a.jar", CONTENT), "a.jar"))


def test_a_folder_in_the_way_of_a_file_is_told(resolving: Resolving, faulty: FaultyServer) -> None:
    (resolving.folder / "a.jar").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match=r"a\.jar"):
        resolving(entry(faulty.put("a.jar", CONTENT), "a.jar"))
    assert resolving.names() == {"a.jar"}


def test_a_link_at_the_target_is_replaced_and_not_followed(resolving: Resolving, faulty: FaultyServer) -> None:
    resolving.folder.mkdir()
    outside = resolving.folder.parent / "outside"
    outside.write_bytes(b"mine")
    (resolving.folder / "a.jar").symlink_to(outside)
    resolving(entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT))
    assert outside.read_bytes() == b"mine"
    assert not (resolving.folder / "a.jar").is_symlink()


def test_too_little_space_is_told_before_anything_moves(resolving: Resolving, faulty: FaultyServer) -> None:
    one = entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT)
    huge = type(one)(uri=one.uri, kind=one.kind, target=one.target, size=2**62)
    with pytest.raises(NoSpace) as caught:
        resolving(huge)
    assert caught.value.exit_code == 43
    assert faulty.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_volume_that_fills_up_is_told(tmp_path: Path) -> None:
    file = UnfinishedFile(tmp_path / "a")
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, file._fd)
    os.close(full)
    with pytest.raises(NoSpace):
        file.write(memoryview(b"x"), 0)
    file.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite"])
@pytest.mark.parametrize("kind", [Kind.FILE, Kind.ARCHIVE])
def test_a_volume_that_is_full_ends_the_run_and_nothing_is_left(
    resolving: Resolving, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch, call: str, kind: Kind
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)  # when the size becomes known, and when bytes are written
    with pytest.raises(NoSpace) as caught:
        resolving(entry(faulty.put("a.jar", CONTENT), "a.jar", kind=kind))
    assert caught.value.exit_code == 43
    assert resolving.names() == set()


def test_progress_is_told_and_ends_complete(resolving: Resolving, faulty: FaultyServer) -> None:
    seen: list[Progress] = []
    done: list[Resolved] = []

    class Watching(Silent):
        def progressed(self, progress: Progress) -> None:
            seen.append(progress)

        def resolved(self, resolved: Resolved) -> None:
            done.append(resolved)

    resolving(entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT), observer=Watching())
    last = seen[-1]
    assert (last.files, last.files_done, last.size, last.received) == (1, 1, len(CONTENT), len(CONTENT))
    assert [resolved.target for resolved in done] == ["a.jar"]


@pytest.mark.parametrize("size", [5_000, 95_000], ids=["one piece", "parts"])
@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_file_is_on_the_disk_before_it_has_its_name(
    resolving: Resolving, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch, *, durable: bool, size: int
) -> None:
    calls = Recorder()
    for name in ("pwrite", "fchmod", "fsync", "rename"):
        monkeypatch.setattr(os, name, calls.recording(name, getattr(os, name)))
    one = entry(faulty.put("a.jar", CONTENT[:size]), "a.jar", content=CONTENT[:size])
    resolving(one, settings=ResolveSettings(durable=durable, part_size=10_000, retry=QUICK))
    last_steps = calls.seen[max(at for at, seen in enumerate(calls.seen) if seen == ("pwrite", "file")) + 1 :]
    assert ("fsync", "file") not in calls.seen[: -len(last_steps)]
    if durable:
        assert last_steps == [("fsync", "file"), ("rename", "name"), ("fsync", "folder")]
    else:
        assert last_steps == [("rename", "name")]


class Recorder:
    """Notes calls, and whether they were about a file, a folder or a name."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def recording(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(first: int | str, *rest: object) -> object:
            what = "name" if isinstance(first, str) else "folder" if stat.S_ISDIR(os.fstat(first).st_mode) else "file"
            done = function(first, *rest)
            self.seen.append((name, what))
            return done

        return call


def test_files_in_flight_are_told_with_what_has_arrived(resolving: Resolving, faulty: FaultyServer) -> None:
    seen: list[Progress] = []

    class Watching(Silent):
        def progressed(self, progress: Progress) -> None:
            seen.append(progress)
            if any(one.received == 5000 and one.size == len(CONTENT) for one in progress.in_flight):
                faulty.over.set()

    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [faults.stall(after=5000)]  # until the file was seen
    few = ResolveSettings(retry=QUICK, part_size=90_000, buffer_size=5000, connections=1, progress_interval=0.01)
    resolving(entry(uri, "a.jar"), observer=Watching(), settings=few)
    told = {one for progress in seen for one in progress.in_flight}
    assert {(one.uri, one.target) for one in told} == {(uri, "a.jar")}
    assert seen[-1].in_flight == ()
    assert (seen[-1].size, seen[-1].received) == (len(CONTENT), len(CONTENT))


class Flying:
    """A download that stands still."""

    in_flight = InFlight(uri="https://host.example/a", target="a", size=None, received=0, seconds=0.0)

    def split(self) -> bool:
        """Give nothing away."""
        return False

    def end(self) -> None:
        """Nothing runs."""


def test_not_more_than_32_files_are_told_of() -> None:
    run = Run(ResolveSettings(), files=100, clock=Clock(60), observer=Silent())
    for number in range(100):
        run.in_flight[str(number)] = Flying()
    assert len(run.progress(files=100, size=0, seconds=0.0).in_flight) == MAX_IN_FLIGHT == 32


@pytest.mark.parametrize("ending", [NotFound, KeyboardInterrupt])
def test_a_run_that_fails_leaves_no_thread(
    resolving: Resolving, faulty: FaultyServer, ending: type[BaseException]
) -> None:
    class Ending(Silent):
        def progressed(self, progress: Progress) -> None:
            if progress.received and ending is KeyboardInterrupt:
                raise KeyboardInterrupt

    uri = faulty.put("a.jar", CONTENT)
    last = faults.status(404) if ending is NotFound else faults.stall(after=1)
    faulty.faults["/a.jar"] = [*[lambda handler: handler.serve(CONTENT)] * 4, *[last] * 50]
    with pytest.raises(ending):
        resolving(
            entry(uri, "a.jar", content=CONTENT), observer=Ending(),
            settings=ResolveSettings(retry=QUICK, part_size=10_000, progress_interval=0.01),
        )  # fmt: skip
    faulty.over.set()
    wait_until(lambda: not {"hashing", "resolving"} & {thread.name for thread in threading.enumerate()})


def test_a_server_that_gives_less_than_was_asked_for_is_asked_for_the_rest(
    resolving: Resolving, faulty: FaultyServer
) -> None:
    def first_half(handler: faults.Handler) -> None:
        handler.answer(206, CONTENT[:50_000], Content_Range=f"bytes 0-49999/{len(CONTENT)}")

    faulty.sends_tags = False
    faulty.faults["/a.jar"] = [first_half]
    uri = faulty.put("a.jar", CONTENT)
    resolving(entry(uri, "a.jar"), settings=ResolveSettings(retry=QUICK, part_size=200_000))
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT
    assert [span for _, _, span in faulty.requests] == ["bytes=0-199999", f"bytes=50000-{len(CONTENT) - 1}"]


# --- journals


def test_a_killed_run_goes_on_where_it_was(resolving: Resolving, faulty: FaultyServer) -> None:
    one = entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT)
    good: list[faults.Fault] = [lambda handler: handler.serve(CONTENT)] * 4
    faulty.faults["/a.jar"] = [*good, faults.status(503)]
    with pytest.raises(SourceUnavailable):
        resolving(one, settings=JOURNALED)
    assert len(resolving.names()) == 2
    faulty.requests.clear()
    resolving(one, settings=JOURNALED)
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT
    # Nothing that is there is asked for again: the answers to the others tell whether it is still the same file.
    starts = sorted(int(str(span)[6:].partition("-")[0]) for _, _, span in faulty.requests)
    assert starts == [*range(40_000, 95_000, 10_000)]
    assert resolving.names() == {"a.jar"}


def test_a_journal_of_a_changed_file_is_worth_nothing(resolving: Resolving, faulty: FaultyServer) -> None:
    one = entry(faulty.put("a.jar", CONTENT), "a.jar")
    faulty.faults["/a.jar"] = [*[lambda handler: handler.serve(CONTENT)] * 4, faults.status(503)]
    with pytest.raises(SourceUnavailable):
        resolving(one, settings=JOURNALED)
    other = bytes(reversed(CONTENT))
    faulty.put("a.jar", other)
    resolving(one, settings=JOURNALED)
    assert (resolving.folder / "a.jar").read_bytes() == other


@pytest.mark.parametrize("line", ["0", "x y", "10000 0", "-1 10", "0 95001", "0 10000 20000"])
def test_a_journal_with_a_line_that_cannot_be_is_worth_nothing(
    resolving: Resolving, faulty: FaultyServer, line: str
) -> None:
    one = entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT)
    faulty.faults["/a.jar"] = [*[lambda handler: handler.serve(CONTENT)] * 4, faults.status(503)]
    with pytest.raises(SourceUnavailable):
        resolving(one, settings=JOURNALED)
    with hidden(resolving.folder / "a.jar", "journal").open("a") as journal:
        journal.write(f"{line}\n")
    faulty.requests.clear()
    resolving(one, settings=JOURNALED)
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT
    assert len(faulty.requests) == 10


def test_damaged_bytes_of_a_killed_run_do_not_pass(resolving: Resolving, faulty: FaultyServer) -> None:
    one = entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT)
    faulty.faults["/a.jar"] = [*[lambda handler: handler.serve(CONTENT)] * 4, faults.status(503)]
    with pytest.raises(SourceUnavailable):
        resolving(one, settings=JOURNALED)
    with hidden(resolving.folder / "a.jar", "part").open("r+b") as part:
        part.seek(15_000)
        part.write(b"damage")
    resolving(one, settings=JOURNALED)
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT


# --- ends


def test_a_signal_raises_terminated_and_puts_the_handlers_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated, match="SIGTERM"), ending_on_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_ends_a_run_by_hand_and_the_next_one_goes_on(
    faulty: FaultyServer, http: HttpClient, tmp_path: Path
) -> None:
    content = random.Random(4).randbytes(20 * 1024 * 1024)  # noqa: S311 - test data; three parts of 8 MiB
    one = entry(faulty.put("a.jar", content), "a.jar", kind=Kind.JAR, content=content)
    (tmp_path / "manifest.json").write_bytes(encode(Manifest(entries=(one,))))
    (tmp_path / "sources.json").write_text('{"egress": {"networks": {"allow": ["127.0.0.0/8"]}}}')
    program = str(Path(sys.executable).with_name("spark-staging"))
    command = [program, "resolve", "manifest.json", "--into", "out", "--sources", "sources.json"]
    faulty.faults["/a.jar"] = [lambda handler: handler.serve(content), *[faults.stall(after=1)] * 2]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    journal = hidden(tmp_path / "out/spark-jars/a.jar", "journal")
    wait_until(lambda: journal.is_file() and "\n0 8388608\n" in journal.read_text())
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == Terminated.exit_code, err
    assert not (tmp_path / "out/spark-jars/a.jar").exists()
    faulty.faults.clear()
    faulty.requests.clear()
    Resolving(tmp_path / "out/spark-jars", http)(one, settings=ResolveSettings(journal=True))
    assert (tmp_path / "out/spark-jars/a.jar").read_bytes() == content
    assert {span for _, _, span in faulty.requests} >= {"bytes=8388608-16777215", "bytes=16777216-20971519"}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_ended_run_leaves_nothing_and_makes_nothing_visible(resolving: Resolving, faulty: FaultyServer) -> None:
    class Ending(Silent):
        def progressed(self, progress: Progress) -> None:
            if progress.received:
                raise KeyboardInterrupt

    uri = faulty.put("a.jar", CONTENT)
    faulty.faults["/a.jar"] = [lambda handler: handler.serve(CONTENT), *[faults.stall(after=1)] * 50]
    with pytest.raises(KeyboardInterrupt):
        resolving(
            entry(uri, "a.jar", content=CONTENT), observer=Ending(),
            settings=ResolveSettings(retry=QUICK, part_size=10_000, progress_interval=0.01),
        )  # fmt: skip
    assert resolving.names() == set()
    faulty.over.set()


@pytest.mark.parametrize("part_size", [1, 999, 1000, 94_999, 95_000, 95_001])
@pytest.mark.parametrize("connections", [1, 7])
def test_any_parts_give_the_same_file(
    resolving: Resolving, faulty: FaultyServer, part_size: int, connections: int
) -> None:
    content = CONTENT[:50] if part_size == 1 else CONTENT
    settings = ResolveSettings(part_size=part_size, buffer_size=300, connections=connections, retry=QUICK)
    resolving(entry(faulty.put("a.jar", content), "a.jar", content=content), settings=settings)
    assert (resolving.folder / "a.jar").read_bytes() == content


# --- memory

MEASURE = r"""
import re, sys
from dataclasses import replace
from pathlib import Path
from resolver.resolve import resolve
from resolver.settings import ResolveSettings
from resolver.sources.base import Listed, Stat
from resolver.sources.choose import Sources
from resolver.sources.http import HttpSource
from staging_io.http import HttpClient
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.uris import DependencyUri
from tests.resolver.outside import outside

folder, base, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
http = HttpClient()
web = HttpSource(outside(http))


class Numbered:
    # A listing of as many names as wanted; ten thousand names share a thousand files.
    def list(self, uri, *, deep):
        for number in range(count):
            yield Listed(uri=replace(uri, path=f"{uri.path}{number}"), stat=Stat(size=100))

    def read(self, uri, *, version, start, stop):
        file = DependencyUri.parse(f"{base}/{int(uri.path.rpartition('/')[2]) % 1000}")
        return web.read(file, version=version, start=start, stop=stop)


uri = "staged:///jar/*" if count else base
entry = ManifestEntry(uri=uri, kind=Kind.JAR, target=FileName("a"))
# As many threads for few files as for many: each has its buffer, and how many there are depends on the machine.
settings = ResolveSettings(connections=4)
sources = Sources(outside(http), staged=Numbered)
done = resolve(Manifest(entries=(entry,)), folder_of=lambda kind: Path(folder), sources=sources, settings=settings)
http.close()
assert len(done) == (count or 1)
print(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
"""


def peak(tmp_path: Path, url: str, *, count: int = 0) -> int:
    """Return the peak memory in MiB of resolving one URL, or so many names that a listing gives."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / f"volume-{count}"), url, str(count)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout) // 1024


@pytest.mark.services
def test_memory_does_not_depend_on_the_size_of_a_file(
    nginx: Nginx, serve: Callable[[str, bytes], str], tmp_path: Path
) -> None:
    peaks = []
    for size in (16, 256):
        path = serve(f"{size}.bin", b"")
        os.truncate(nginx.root / path, size * 1024 * 1024)
        peaks.append(peak(tmp_path, f"{nginx.url}/{path}"))
    assert max(peaks) <= 64
    assert peaks[1] - peaks[0] <= 8


@pytest.mark.services
def test_ten_thousand_files_of_a_listing_need_hardly_more_memory_than_twenty(
    nginx: Nginx, serve: Callable[[str, bytes], str], tmp_path: Path
) -> None:
    for number in range(1000):
        path = serve(str(number), b"x" * 100)
    few, many = (peak(tmp_path, f"{nginx.url}/{path.partition('/')[0]}", count=count) for count in (20, 10_000))
    assert many <= 64
    assert many - few <= 24
