"""kill -9 in the middle of `migrate`, and of the first start: the next start finishes it, and nothing is lost."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Final

from staging_server.metadata.migrations import migrate
from tests.crash.first_version import BUNDLES, make_first_version
from tests.crash.ledger import Ledger
from tests.crash.lives import KILLED, Life, Nursery, Server
from tests.crash.remains import Remains, SqliteFile

_MOST: Final = 200


def test_a_migration_that_is_killed_at_any_step_is_finished_by_the_next_start(forks: Nursery, tmp_path: Path) -> None:
    old = Server(nursery=forks, folder=tmp_path / "old")
    old.data.mkdir(parents=True)
    with closing(Ledger(old.url, namespace="team")) as ledger:
        make_first_version(old.data, ledger)
        for step in range(1, _MOST, 2):
            server = Server(nursery=forks, folder=tmp_path / "new", port=old.port)
            shutil.copytree(old.data, server.data)
            life = forks.start("server", "migrate", environment=server.environment(), arm={"at": step}, log=server.log)
            ended = life.wait()
            assert ended in {KILLED, 0}, server.said()
            _look(server, ledger)
            shutil.rmtree(server.folder)
            if ended == 0:
                break
    assert ended == 0
    assert step > 5, "it was never killed inside"


def test_a_first_start_that_is_killed_at_any_statement_is_made_good_by_the_next(forks: Nursery, tmp_path: Path) -> None:
    only = ["sql CREATE", "sql INSERT", "sql COMMIT", "sql BEGIN", "os.fsync"]
    kills = 0
    for step in range(1, _MOST, 3):
        server = Server(nursery=forks, folder=tmp_path / str(step))
        server.folder.mkdir()
        life = forks.start(
            "server", "serve", environment=server.environment(), arm={"at": step, "only": only}, log=server.log
        )
        if not _dies_at_start(life, server):
            break
        kills += 1
        server.start()
        with closing(Ledger(server.url, namespace="team")) as ledger:
            ledger.stage(ledger.draft())
            ledger.settle()
            ledger.sweep()
        Remains(server.data).check()
        server.end()
    assert kills > 8, "it was never killed inside"


def _dies_at_start(life: Life, server: Server) -> bool:
    """Wait until the server dies by itself, or answers; then it had fewer steps."""
    server.life = life
    if not server.comes_up():
        assert life.wait() == KILLED, server.said()
        return True
    server.end()
    return False


def _look(server: Server, ledger: Ledger) -> None:
    """Everything that was there is there, and can be read."""
    server.start()
    ledger.settle()
    rows = SqliteFile(server.data / "metadata.sqlite3").rows
    assert rows("SELECT version_num FROM alembic_version") == [(migrate.HEAD,)]
    counts = {table: rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("bundles", "bundle_files", "tombstones")}  # noqa: S608 - names of our own
    assert counts == {"bundles": BUNDLES, "bundle_files": BUNDLES, "tombstones": 1}
    server.end()
    remains = Remains(server.data)
    remains.age()
    server.start()
    ledger.sweep()
    remains.check()
    server.end()
