"""A resolver that is killed at any point: nothing wrong is in sight, and the next run goes on by the journal."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.parts import part_size_for
from staging_io.files import hidden
from tests.end_to_end.faulted import NAMESPACE, RECORDS, SMALL_PARTS, Faulted, faulted, make_job, records_of, tree_of
from tests.services.fault_plans import EVER
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import Place, Rule, Stall, Way

LARGE = 1_000_000
PART = part_size_for(LARGE, smallest=SMALL_PARTS.part_size)
NAME = "2.jar"
EXAMPLES = settings.default.max_examples if settings.default is not None else 100
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulted]:
    with faulted(tmp_path_factory.mktemp("server"), make_job([1, 5000, LARGE])) as running:
        yield running


@pytest.fixture(scope="module")
def token(down: Faulted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(down.token.text)
    return path


def start(down: Faulted, token: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start to resolve into `folder`."""
    command = [sys.executable, "-m", "tests.end_to_end.by_hand", down.proxy.url, NAMESPACE, down.bundle]
    return subprocess.Popen([*command, token, folder], cwd=ROOT, stderr=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it with no chance to clear up."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for its success."""
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def journaled(folder: Path) -> int:
    """Return the bytes of the large file that its journal says are on the disk."""
    journal = hidden(folder / "jar" / NAME, "journal")
    if not journal.exists() or (folder / "jar" / NAME).exists():
        return 0
    parts = {tuple(map(int, line.split())) for line in journal.read_text().split("\n")[1:-1]}
    return sum(stop - start for start, stop in parts)


def bytes_of_large_file(proxy: FaultProxy) -> int:
    return sum(one.down for one in proxy.exchanges if one.path.endswith(NAME))


def check_and_finish(down: Faulted, token: Path, folder: Path) -> None:
    """Nothing wrong shows; the next run loads what the journal does not have, and no more."""
    assert {name: node for name, node in down.strange(folder).items() if ".spark-staging-" not in name} == {}
    kept, whole = journaled(folder), (folder / "jar" / NAME).exists()
    down.proxy.plan()
    finish(start(down, token, folder))
    assert tree_of(folder) == down.job.expected
    assert records_of(folder) == {RECORDS}
    assert bytes_of_large_file(down.proxy) == (0 if whole else LARGE - kept)


@given(part=st.integers(0, LARGE // PART), at=st.integers(0, PART))
@settings(max_examples=max(EXAMPLES // 12, 1))
def test_killed_while_parts_arrive(down: Faulted, token: Path, part: int, at: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        stall = Stall(Place(way=Way.DOWN, at=at))
        down.proxy.plan(Rule(fault=stall, path=NAME, skip=part, times=EVER))
        process = start(down, token, Path(name))
        down.proxy.wait_until(lambda proxy: proxy.struck(Stall) > 0 or process.poll() is not None)
        kill(process)
        down.proxy.drop_connections()
        check_and_finish(down, token, Path(name))


@given(spins=st.integers(0, 60))
@settings(max_examples=max(EXAMPLES // 12, 1))
def test_killed_while_files_are_finished(down: Faulted, token: Path, spins: int) -> None:
    """From the last byte on: journal, digest, rename, unpacking, records."""
    with tempfile.TemporaryDirectory() as name:
        down.proxy.plan()
        process = start(down, token, Path(name))
        down.proxy.wait_until(lambda proxy: bytes_of_large_file(proxy) >= LARGE or process.poll() is not None)
        for _ in range(spins):  # each takes about as long as a system call or two of the other process
            os.stat(name)  # noqa: PTH116 - it is only there to take its time
        kill(process)
        check_and_finish(down, token, Path(name))


def test_parts_that_are_all_there_are_not_loaded_again(down: Faulted, token: Path, tmp_path: Path) -> None:
    """As killed after the last part, before the file got its name: asking whether it changed is enough."""
    down.proxy.plan(Rule(fault=Stall(Place(at=PART - 1)), path=NAME, skip=LARGE // PART - 1, times=EVER))
    process = start(down, token, tmp_path)
    down.proxy.wait_until(lambda proxy: proxy.struck(Stall) > 0 and journaled(tmp_path) >= LARGE - PART)
    kill(process)
    content = next(content for (_, name), content in down.job.files.items() if name == NAME)
    with (
        hidden(tmp_path / "jar" / NAME, "part").open("r+b") as file,
        hidden(tmp_path / "jar" / NAME, "journal").open("a") as journal,
    ):
        for at in range(0, LARGE, PART):
            file.seek(at)
            file.write(content[at : at + PART])
            journal.write(f"{at} {min(at + PART, LARGE)}\n")
    check_and_finish(down, token, tmp_path)
    assert [one.method for one in down.proxy.exchanges if one.path.endswith(NAME)] == ["HEAD"]
