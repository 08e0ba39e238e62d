"""Real small disks, filled to the last byte: what adds is refused, what reads goes on, and deleting makes room."""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from staging_protocol.errors import ExitCode, NoSpace, StagingError, Unavailable
from tests.crash.first_version import make_first_version
from tests.crash.ledger import CutOff, Job, Ledger
from tests.crash.lives import Nursery, Server
from tests.crash.remains import Remains, SqliteFile
from tests.crash.steps import WRITES
from tests.storage.mounts import Disk, ext4, tmpfs

MIB: Final = 1024 * 1024
_DISK: Final = {"STORAGE__IO_THREADS": 2, "RETENTION__TIME_TO_LIVE": 0.2}


@dataclass(kw_only=True)
class Place:
    """A server whose blobs, or database, or both, lie on a small disk."""

    server: Server
    disk: Disk
    database: Path
    ledger: Ledger = field(init=False)
    remains: Remains = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.server.url, namespace="team")
        self.remains = Remains(self.server.data, database=SqliteFile(self.database))

    def use_up_the_log(self, job: Job) -> None:
        """Change something until the database has no room left, not even in its log."""
        for number in range(5000):
            try:
                self.ledger.pin(job, f"{number} " + "x" * 1900)
            except NoSpace:
                return
        pytest.fail("the database never was full")


@contextmanager
def place(what: str, forks: Nursery, folder: Path, *, kind: str = "tmpfs") -> Iterator[Place]:
    """Run a server with `what` on the small disk: blobs, database or both."""
    small = folder / "server" / "data" if what != "database" else folder / "database"
    database = (small if what != "blobs" else folder) / "metadata.sqlite3"
    settings = {**_DISK, "STORAGE__DATABASE_URL": f"sqlite:///{database}"}
    with ExitStack() as stack:
        disk = stack.enter_context(
            tmpfs(small, size=40 * MIB) if kind == "tmpfs" else ext4(folder / "image", small, size=64 * MIB)
        )
        server = Server(nursery=forks, folder=folder / "server", settings=settings)
        made = Place(server=server, disk=disk, database=database)
        server.start()
        stack.callback(made.ledger.close)
        stack.callback(server.end)
        yield made


def _refused(act: Callable[[], object], *kinds: type[StagingError]) -> None:
    """Assert that the server refuses with 507 or 503, or hangs up on a body that it cannot take."""
    with pytest.raises((*(kinds or (NoSpace, Unavailable)), CutOff)):
        act()


def _before(ledger: Ledger) -> tuple[Job, Job, Job]:
    """Something staged whose token nobody used, something half uploaded, something that will expire."""
    staged, parts, short = ledger.draft(), ledger.draft(), ledger.draft(fleeting=True)
    ledger.stage(staged)
    ledger.stage(short)
    ledger.create(parts)
    ledger.begin(parts, "0.jar")
    ledger.append(parts, "0.jar", size=70_000)
    return staged, parts, short


def _is_well(made: Place) -> None:
    """With room again, without a restart, everything works and holds what was acknowledged; later nothing is left.

    A day, because what could not be tidied up on a disk that takes nothing is left to the sweep.
    """
    made_now = made.ledger.draft()
    _patiently(lambda: made.ledger.stage(made_now))
    made.ledger.settle()
    made.ledger.sweep()
    made.server.end()
    made.remains.age(but=made.ledger.uploads)
    made.server.start()
    made.ledger.sweep()
    made.remains.check(resuming=made.ledger.uploads)


def _patiently(act: Callable[[], object]) -> None:
    """The server looks at its disk now and then; until it has, it may go on to refuse."""
    deadline = time.monotonic() + 30
    while True:
        try:
            act()
        except NoSpace:
            assert time.monotonic() < deadline, "it never noticed that there is room"
        else:
            return


def _sweep_until_something_goes(ledger: Ledger) -> None:
    for _ in range(2000):
        if ledger.sweep().blobs:
            return
    pytest.fail("nothing ever went")


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_refuses_what_adds_serves_what_reads_and_lets_sweeps_delete(
    kind: str, forks: Nursery, tmp_path: Path
) -> None:
    with place("both", forks, tmp_path, kind=kind) as made:
        ledger = made.ledger
        staged, parts, _ = _before(ledger)
        whole = ledger.draft()
        ledger.create(whole)
        made.disk.fill()
        _refused(lambda: ledger.put(whole, "0.jar"), NoSpace)
        _refused(lambda: ledger.put_together(whole), NoSpace)
        _refused(lambda: ledger.append(parts, "0.jar", size=70_000), NoSpace)
        made.use_up_the_log(staged)
        staged.doubts.add("pin")
        _refused(lambda: ledger.create(ledger.draft()), NoSpace)
        ledger.jobs.pop()  # it was refused, so it is not there
        _refused(lambda: ledger.begin(whole, "0.jar"), NoSpace)
        _refused(lambda: ledger.renew(staged), NoSpace)
        assert ledger.read(staged, "0.jar") == staged.contents["0.jar"]
        _sweep_until_something_goes(ledger)
        made.disk.free()
        _is_well(made)
        assert made.server.end() == 0


def test_a_server_whose_database_has_no_room_reads_and_sweeps(forks: Nursery, tmp_path: Path) -> None:
    with place("database", forks, tmp_path) as made:
        ledger = made.ledger
        staged, parts, _ = _before(ledger)
        unsealed = ledger.draft()
        ledger.create(unsealed)
        ledger.put(unsealed, "0.jar")
        made.disk.fill()
        made.use_up_the_log(staged)
        staged.doubts.add("pin")
        _refused(lambda: ledger.seal(unsealed), NoSpace)
        _refused(lambda: ledger.append(parts, "0.jar", size=70_000), NoSpace)
        assert ledger.read(staged, "0.jar") == staged.contents["0.jar"]
        _sweep_until_something_goes(ledger)
        made.disk.free()
        _is_well(made)


def test_a_server_whose_blobs_have_no_room_does_all_that_needs_none(forks: Nursery, tmp_path: Path) -> None:
    with place("blobs", forks, tmp_path) as made:
        ledger = made.ledger
        staged, parts, _ = _before(ledger)
        whole = ledger.draft()
        made.disk.fill()
        ledger.create(whole)
        _refused(lambda: ledger.put(whole, "0.jar"), NoSpace)
        _refused(lambda: ledger.append(parts, "0.jar", size=70_000), NoSpace)
        ledger.pin(staged, "kept")
        assert ledger.read(staged, "0.jar") == staged.contents["0.jar"]
        ledger.delete(ledger.jobs[-1])
        _sweep_until_something_goes(ledger)
        made.disk.free()
        _is_well(made)


def test_a_disk_that_fills_while_an_upload_runs_ends_it_and_keeps_nothing_of_it(forks: Nursery, tmp_path: Path) -> None:
    with place("blobs", forks, tmp_path) as made:
        ledger = made.ledger
        job = ledger.draft([ledger.content(8 * MIB)])
        ledger.create(job)
        (file,), content = job.body.files, job.contents["0.jar"]

        def body() -> Iterator[bytes]:
            yield content[: 2 * MIB]
            made.disk.fill(leave=MIB)
            yield content[2 * MIB :]

        _refused(
            lambda: ledger.client.put_blob("team", file.digest, size=len(content), content=body()),
        )
        made.disk.free()
        ledger.sweep()
        assert not list((made.server.data / "uploads").iterdir())
        _patiently(lambda: ledger.put(job, "0.jar"))
        ledger.seal(job)
        _is_well(made)


def test_a_disk_that_fills_while_a_part_comes_keeps_what_was_acknowledged(forks: Nursery, tmp_path: Path) -> None:
    with place("blobs", forks, tmp_path) as made:
        ledger = made.ledger
        job = ledger.draft([ledger.content(8 * MIB)])
        ledger.create(job)
        ledger.begin(job, "0.jar")
        ledger.append(job, "0.jar", size=MIB)
        made.disk.fill(leave=MIB // 2)
        _refused(lambda: ledger.append(job, "0.jar", size=7 * MIB))
        ledger.resume(job, "0.jar")
        made.disk.free()
        ledger.resume(job, "0.jar")
        assert job.resuming["0.jar"].acknowledged < 8 * MIB
        _patiently(lambda: ledger.append(job, "0.jar", size=8 * MIB))
        ledger.seal(job)
        _is_well(made)


def test_a_start_on_a_disk_without_any_room_says_so_and_harms_nothing(forks: Nursery, tmp_path: Path) -> None:
    with place("both", forks, tmp_path) as made:
        _before(made.ledger)
        made.server.end()
        made.database.with_name("metadata.sqlite3.reserve").unlink()
        made.disk.fill()
        life = forks.start("server", "serve", environment=made.server.environment(), log=tmp_path / "said")
        assert life.wait() == ExitCode.NO_SPACE, (tmp_path / "said").read_text()
        assert "is full" in (tmp_path / "said").read_text()
        made.disk.free()
        made.server.start()
        _is_well(made)


def test_a_start_on_a_full_disk_uses_the_reserve(forks: Nursery, tmp_path: Path) -> None:
    with place("both", forks, tmp_path) as made:
        _before(made.ledger)
        made.server.end()
        made.disk.fill()
        made.server.start()
        _sweep_until_something_goes(made.ledger)
        made.disk.free()
        _is_well(made)


def test_a_migration_on_a_full_disk_fails_whole_and_works_when_there_is_room(forks: Nursery, tmp_path: Path) -> None:
    server = Server(nursery=forks, folder=tmp_path / "server")
    with closing(Ledger(server.url, namespace="team")) as ledger, tmpfs(server.data, size=16 * MIB) as disk:
        make_first_version(server.data, ledger)
        disk.fill()
        life = forks.start("server", "migrate", environment=server.environment(), log=tmp_path / "said")
        assert life.wait() in {ExitCode.NO_SPACE, ExitCode.UNAVAILABLE}, (tmp_path / "said").read_text()
        assert "Traceback" not in (tmp_path / "said").read_text()
        disk.free()
        server.start()
        ledger.settle()
        server.end()


def test_blobs_on_a_read_only_disk_can_be_read_and_the_server_recovers_by_itself(
    forks: Nursery, tmp_path: Path
) -> None:
    with place("blobs", forks, tmp_path) as made:
        ledger = made.ledger
        staged, parts, _ = _before(ledger)
        whole = ledger.draft()
        ledger.create(whole)
        made.disk.read_only(True)
        _refused(lambda: ledger.put(whole, "0.jar"), Unavailable)
        _refused(lambda: ledger.append(parts, "0.jar", size=70_000), Unavailable)
        assert ledger.read(staged, "0.jar") == staged.contents["0.jar"]
        made.disk.read_only(False)
        ledger.put(whole, "0.jar")
        _is_well(made)


def test_a_disk_that_breaks_and_becomes_read_only_loses_nothing_that_was_acknowledged(
    forks: Nursery, tmp_path: Path
) -> None:
    """While files are open for writing only an error makes a disk read-only; after it the server is started again."""
    with place("both", forks, tmp_path, kind="ext4") as made:
        ledger = made.ledger
        staged, parts, _ = _before(ledger)
        whole = ledger.draft()
        ledger.create(whole)
        made.disk.break_down()
        _refused(lambda: ledger.put(whole, "0.jar"), Unavailable)
        _refused(lambda: ledger.append(parts, "0.jar", size=70_000), Unavailable)
        _refused(lambda: ledger.pin(staged, "kept"), Unavailable)
        staged.doubts.add("pin")
        assert ledger.read(staged, "0.jar") == staged.contents["0.jar"]
        made.server.end()
        made.disk.repair(tmp_path / "image")
        made.server.start()
        _is_well(made)


_ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)


@pytest.mark.parametrize("what", ["upload", "parts", "batch"])
def test_any_write_of_an_upload_may_fail_and_the_next_try_works(what: str, forks: Nursery, tmp_path: Path) -> None:
    act: Callable[[Ledger, Job], None] = {
        "upload": lambda ledger, job: ledger.put(job, "0.jar"),
        "parts": lambda ledger, job: ledger.append(job, "0.jar", size=130_000),
        "batch": lambda ledger, job: ledger.put_together(job),
    }[what]
    server = Server(nursery=forks, folder=tmp_path, settings=_DISK)
    life = server.start()
    with closing(Ledger(server.url, namespace="team")) as ledger:
        remains = Remains(server.data)
        failed, known = 0, set[str]()
        for step in range(1, 200):
            job = ledger.draft(
                [ledger.content(size) for size in ((200_000, 20_000) if what == "batch" else (200_000,))]
            )
            ledger.create(job)
            if what == "parts":
                ledger.begin(job, "0.jar")
                ledger.append(job, "0.jar", size=70_000)
            life.arm(at=step, error=_ERRORS[step % len(_ERRORS)], only=WRITES)
            try:
                act(ledger, job)
            except (NoSpace, Unavailable, CutOff):
                failed += 1
            if len(life.disarm()) < step:
                break
            _is_mended(ledger, job, remains, known=known)
    assert server.end() == 0
    assert failed > 3


def _is_mended(ledger: Ledger, job: Job, remains: Remains, *, known: set[str]) -> None:
    ledger.settle()
    assert job.sealed
    known |= ledger.uploads
    ledger.prune(keep=2)
    ledger.sweep()
    remains.check(resuming=known)


def test_any_removal_of_a_sweep_may_fail_and_the_next_sweep_finishes_it(forks: Nursery, tmp_path: Path) -> None:
    server = Server(nursery=forks, folder=tmp_path, settings=_DISK)
    life = server.start()
    with closing(Ledger(server.url, namespace="team")) as ledger:
        job = ledger.draft(fleeting=True)
        ledger.stage(job)
        life.arm(at=1, error=errno.EIO, only=["os.unlink"])
        with pytest.raises(Unavailable):
            _sweep_until_something_goes(ledger)
        life.disarm()
        ledger.sweep()
        Remains(server.data).check()
    server.end()
