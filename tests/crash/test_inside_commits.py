"""kill -9 inside SQLite itself, between two writes of one commit: strace ends the process at the n-th of them."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.conftest import missing
from tests.crash.ledger import CutOff, Ledger
from tests.crash.lives import KILLED, Life, Nursery, Server
from tests.crash.remains import Remains
from tests.crash.test_each_step import look_after_crash


@contextmanager
def dying_at_write(life: Life, number: int) -> Iterator[None]:
    """Let the process die before the given write or flush of one of its threads."""
    if shutil.which("strace") is None:
        missing("strace is missing; on Debian: apt-get install strace")
    calls = "pwrite64,fdatasync"
    watching = subprocess.Popen(
        ["strace", "-f", "-p", str(life.pid), "-o", "/dev/null", "-e", f"trace={calls}",
         "-e", f"inject={calls}:signal=SIGKILL:when={number}"],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert watching.stderr is not None
    try:
        assert b"attached" in watching.stderr.readline()
        yield
    finally:
        # In this order: without strace the process would live on.
        life.kill()
        watching.kill()
        watching.communicate(timeout=60)


def test_a_kill_between_two_writes_of_a_commit_loses_nothing(forks: Nursery, tmp_path: Path) -> None:
    server = Server(nursery=forks, folder=tmp_path)
    remains = Remains(server.data)
    server.start()
    kills = 0
    with closing(Ledger(server.url, namespace="team")) as ledger:
        for number in range(1, 80, 8):
            life = server.life
            assert life is not None
            with dying_at_write(life, number):
                # As much as it takes: each thread counts its own writes.
                for _ in range(20):
                    with suppress(CutOff):
                        ledger.stage(ledger.draft([ledger.content(5_000)]))
                        continue
                    break
            assert life.wait() == KILLED, server.said()
            kills += any(job.doubts for job in ledger.jobs)
            look_after_crash(server, ledger, remains)
        server.end()
    assert kills > 5, "it hardly ever died inside a commit"
