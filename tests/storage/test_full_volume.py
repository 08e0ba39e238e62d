"""Volumes of pods and folders of submitters, full or read-only: an exit code that says so, nothing half done."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from staging_protocol.errors import ExitCode
from tests.crash.ledger import Ledger
from tests.crash.lives import Nursery, Server
from tests.crash.resolving import ByHand, Pod, Staged, check_visible, leftovers, run, stage
from tests.storage.mounts import tmpfs

MIB: Final = 1024 * 1024


@pytest.fixture(scope="module")
def server(forks: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(nursery=forks, folder=tmp_path_factory.mktemp("staged"))
    running.start()
    yield running
    running.end()


@pytest.fixture(scope="module")
def staged(server: Server) -> Iterator[Staged]:
    with closing(Ledger(server.url, namespace="team")) as ledger:
        yield stage(ledger)


@pytest.mark.parametrize("kind", [Pod, ByHand])
@pytest.mark.parametrize("leave", [0, 60_000, 6 * MIB, 9_050_000])
def test_a_full_volume_ends_the_run_with_43_and_shows_nothing_half_done(
    kind: type[Pod | ByHand], leave: int, staged: Staged, forks: Nursery, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "volume", size=24 * MIB) as disk:
        place = kind(staged=staged, root=disk.folder, log=tmp_path / "log")
        disk.fill(leave=leave)
        assert run(place, forks) == ExitCode.NO_SPACE, place.log.read_text()
        check_visible(place, whole=False)
        assert not [name for name in leftovers(place) if not name.endswith((".part", ".journal")) or kind is Pod]
        disk.free()
        assert run(place, forks) == ExitCode.DONE, place.log.read_text()
        check_visible(place, whole=True)
        assert not leftovers(place)


@pytest.mark.parametrize("kind", [Pod, ByHand])
def test_a_read_only_volume_ends_the_run_with_41_and_what_is_there_stays_right(
    kind: type[Pod | ByHand], staged: Staged, forks: Nursery, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "volume", size=24 * MIB) as disk:
        place = kind(staged=staged, root=disk.folder, log=tmp_path / "log")
        disk.read_only(True)
        assert run(place, forks) == ExitCode.DENIED, place.log.read_text()
        check_visible(place, whole=False)
        disk.read_only(False)
        assert run(place, forks) == ExitCode.DONE, place.log.read_text()
        check_visible(place, whole=True)


@pytest.mark.parametrize("read_only", [False, True], ids=["full", "read-only"])
def test_staging_needs_no_room_for_its_cache(read_only: bool, server: Server, forks: Nursery, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of pytest
    jar = tmp_path / "job.jar"
    with closing(Ledger(server.url, namespace="cache", seed=int(read_only))) as ledger:
        jar.write_bytes(ledger.content(9 * MIB))
    with tmpfs(tmp_path / "cache", size=MIB) as disk:
        disk.fill()
        disk.read_only(read_only)
        life = forks.start(
            "submission", "stage", "--name", "job", "--jars", str(jar), "--namespace", "cache", "--progress", "none",
            environment={"SPARK_STAGING_URL": server.url, "XDG_CACHE_HOME": str(disk.folder), "HOME": str(tmp_path)},
            log=tmp_path / "log",
        )  # fmt: skip
        assert life.wait() == ExitCode.DONE, (tmp_path / "log").read_text()
        disk.read_only(False)
