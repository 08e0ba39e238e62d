"""The order of write, flush, rename, flush of folders, commit and answer, as the kernel saw it."""

import dataclasses
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.ledger import Job, Ledger
from tests.storage import trace
from tests.storage.durability import (
    Disk,
    broken_promises,
    commits_too_early,
    removals_too_early,
    renames_too_early,
)
from tests.storage.programs import Traced
from tests.storage.trace import Call

_BIN = Path(sys.executable).parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """What the server asked of the kernel in a life with one of everything."""

    calls: list[Call]
    data: str

    @property
    def log(self) -> str:
        """The write-ahead log of the database."""
        return f"{self.data}/metadata.sqlite3-wal"

    def complaints(self, calls: list[Call] | None = None) -> list[str]:
        """Return everything that is wrong with the order of `calls`, by default with what was recorded."""
        looked_at = self.calls if calls is None else calls
        root = str(Path(self.data).parent)
        return [
            *broken_promises(looked_at, disk=Disk(root=f"{root}/")),
            *renames_too_early(looked_at, root=root),
            *commits_too_early(looked_at, log=self.log),
            *removals_too_early(looked_at, log=self.log),
        ]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    folder = tmp_path_factory.mktemp("traced").resolve()
    with Traced(folder=folder) as server, closing(Ledger(server.url, namespace="team")) as ledger:
        _live(ledger)
    yield Recording(calls=trace.read(server.output), data=str(server.data))
    shutil.rmtree(folder)


def _live(ledger: Ledger) -> None:
    """One of everything that changes the disk, and nothing beside it: the sweep of the start has to be over."""
    ledger.sweep()
    whole, parts, short = ledger.draft(), ledger.draft(), ledger.draft(fleeting=True)
    ledger.stage(whole)
    _upload_in_parts(ledger, parts)
    together = ledger.draft([ledger.content(size) for size in (1, 70_000, 100_000, 300_000)])
    ledger.create(together)
    ledger.put_together(together)
    ledger.seal(together)
    ledger.pin(whole, "kept")
    ledger.renew(whole)
    ledger.stage(short)
    deadline = time.monotonic() + 30
    while not ledger.sweep().blobs:
        assert time.monotonic() < deadline, "nothing was due"


def _upload_in_parts(ledger: Ledger, job: Job) -> None:
    ledger.create(job)
    ledger.begin(job, "0.jar")
    for _ in range(3):
        ledger.append(job, "0.jar", size=70_000)
    ledger.seal(job)


def test_nothing_that_was_answered_could_be_lost_by_a_power_cut(recording: Recording) -> None:
    disk = Disk(root=f"{Path(recording.data).parent}/")
    assert list(broken_promises(recording.calls, disk=disk)) == []


def test_no_file_gets_its_name_before_its_bytes_are_flushed(recording: Recording) -> None:
    renamed = [call for call in recording.calls if call.name.startswith("rename") and "/sha256/" in call.target]
    assert len(renamed) == 3 + 4
    assert list(renames_too_early(recording.calls, root=recording.data)) == []


def test_the_database_names_a_blob_after_its_folder_is_flushed(recording: Recording) -> None:
    assert list(commits_too_early(recording.calls, log=recording.log)) == []


def test_bytes_go_after_the_database_has_said_so(recording: Recording) -> None:
    assert [call for call in recording.calls if call.name.startswith("unlink") and "/sha256/" in call.path]
    assert list(removals_too_early(recording.calls, log=recording.log)) == []


def _without(what: Callable[[Call], bool]) -> Callable[[list[Call]], list[Call]]:
    return lambda calls: [call for call in calls if not what(call)]


def _is_flush_of(part: str) -> Callable[[Call], bool]:
    return lambda call: call.name in {"fsync", "fdatasync"} and part in call.path


def _swapped(first: Callable[[Call], bool], second: Callable[[Call], bool]) -> Callable[[list[Call]], list[Call]]:
    """Let the last `first` before each `second` come after it."""

    def swap(calls: list[Call]) -> list[Call]:
        swapped = list(calls)
        for late in [call for call in calls if second(call)]:
            early = [call for call in calls if first(call) and call.ended < late.begun]
            if early and early[-1] in swapped:
                place, other = swapped.index(early[-1]), swapped.index(late)
                swapped[place] = dataclasses.replace(late, begun=early[-1].begun, ended=early[-1].ended)
                swapped[other] = dataclasses.replace(early[-1], begun=late.begun, ended=late.ended)
        return swapped

    return swap


@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(_without(_is_flush_of("/uploads/")), id="bytes are not flushed"),
        pytest.param(_without(lambda call: call.name == "fdatasync" and "/uploads/" in call.path), id="parts are not"),
        pytest.param(_without(lambda call: call.path.endswith("/uploads")), id="the folder of uploads is not"),
        pytest.param(
            _without(lambda call: "/sha256/" in call.path and len(Path(call.path).name) == 2), id="nor of blobs"
        ),
        pytest.param(_without(_is_flush_of("-wal")), id="nor the database"),
        pytest.param(
            _swapped(_is_flush_of("/uploads/"), lambda call: call.name.startswith("rename")),
            id="renamed, then flushed",
        ),
        pytest.param(
            _swapped(_is_flush_of("/sha256/"), lambda call: call.path.endswith("-wal") and call.name == "pwrite64"),
            id="committed, then flushed",
        ),
        pytest.param(
            _swapped(_is_flush_of("-wal"), lambda call: call.name.startswith("unlink") and "/sha256/" in call.path),
            id="removed, then committed",
        ),
        pytest.param(
            _swapped(_is_flush_of("-wal"), lambda call: call.text.startswith("HTTP/1.1 2")),
            id="answered, then committed",
        ),
    ],
)
def test_the_checks_notice_each_step_that_is_left_out_or_comes_too_late(
    mutation: Callable[[list[Call]], list[Call]], recording: Recording
) -> None:
    mutated = mutation(recording.calls)
    assert mutated != recording.calls
    assert recording.complaints(mutated)


def test_a_resolver_that_flushes_could_be_cut_off_after_its_end(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    with (
        Traced(folder=folder / "server", traced=False) as server,
        closing(Ledger(server.url, namespace="team")) as ledger,
    ):
        job = ledger.draft([ledger.content(), b""])
        ledger.stage(job)
        assert job.token is not None
        (folder / "token").write_text(job.token.text)
        done = trace.run(
            [str(_BIN / "spark-staging"), "resolve", f"bundle:{job.id}", "--into", str(folder / "into"),
             "--token-file", str(folder / "token"), "--namespace", "team", "--progress", "none"],
            environment={"SPARK_STAGING_URL": server.url, "HOME": str(folder), "PATH": "/usr/bin:/bin"},
            output=folder / "trace",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = trace.read(folder / "trace")
    assert list(renames_too_early(calls, root=f"{folder}/into")) == []
    assert list(broken_promises(calls, disk=Disk(root=f"{folder}/into"))) == []
    unflushed = _without(_is_flush_of("/into"))(calls)
    assert list(broken_promises(unflushed, disk=Disk(root=f"{folder}/into")))
