"""The same on PostgreSQL: our process is killed, the database lives on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy.engine import URL

from tests.conftest import missing
from tests.crash.lives import Nursery, Server
from tests.crash.loop import Loop
from tests.crash.remains import Remains, Rows
from tests.staging_server.postgresql import find_programs, running

_KILLS: Final = 6


class Postgresql:
    """A database of PostgreSQL, past the server (`remains.Database`)."""

    def __init__(self, url: URL) -> None:
        self._url = url.render_as_string(hide_password=False)

    def rows(self, query: str) -> Rows:
        """See `Database.rows`."""
        return asyncio.run(self._fetch(query))

    def change(self, statement: str) -> None:
        """See `Database.change`."""
        asyncio.run(self._fetch(statement))

    async def _fetch(self, query: str) -> Rows:
        connection = await asyncpg.connect(self._url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def url() -> Iterator[URL]:
    programs = find_programs()
    if programs is None:
        missing("PostgreSQL's server is not installed (Debian: postgresql)")
    else:
        with running(programs) as made:
            yield made


def test_a_server_on_postgresql_that_dies_under_load_keeps_its_word(url: URL, forks: Nursery, tmp_path: Path) -> None:
    settings = {"STORAGE__DATABASE_URL": url.render_as_string(hide_password=False)}
    server = Server(nursery=forks, folder=tmp_path, settings=settings)
    loop = Loop(server, clients=3, seed=11, remains=Remains(server.data, database=Postgresql(url)))
    try:
        for _ in range(_KILLS):
            loop.turn()
    finally:
        loop.close()
    assert loop.kills.total() == _KILLS
    assert loop.acknowledged > 30
