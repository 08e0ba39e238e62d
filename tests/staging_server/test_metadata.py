"""The database: contract, migrations, and how SQLite is set up."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import ClauseElement, Connection, create_engine, text

from staging_protocol.errors import InvalidRequest
from staging_server.metadata import arrivals, quota, resumption, unclaimed, upload_endings, wishes
from staging_server.metadata.base import Metadata
from staging_server.metadata.migrations import migrate
from staging_server.metadata.store import DATABASE_FILE, open_metadata
from staging_server.metadata.tables import schema
from staging_server.settings import StorageSettings
from tests.contracts.metadata_store import MetadataContract, add, namespaces


@pytest.fixture
async def metadata(tmp_path: Path) -> AsyncIterator[Metadata]:
    async with open_metadata(StorageSettings(folder=tmp_path, readers=2)) as opened:
        yield opened


class TestSqlite(MetadataContract):
    pass


def _pragma(connection: Connection, name: str) -> object:
    return connection.execute(text(f"PRAGMA {name}")).scalar()


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000)]
)
async def test_sqlite_keeps_what_it_was_told(metadata: Metadata, name: str, value: object) -> None:
    assert await metadata.read(_pragma, name) == value


async def test_a_foreign_key_is_enforced(metadata: Metadata) -> None:
    def break_it(connection: Connection, _items: object) -> list[None]:
        connection.execute(text("INSERT INTO tenant_blobs (tenant_id, digest, last_used) VALUES (9, 'x', 0)"))
        return [None]

    with pytest.raises(Exception, match="busy"):
        await metadata.write(break_it, None)


async def test_the_migrations_make_the_tables_that_the_code_uses(metadata: Metadata) -> None:
    def differences(connection: Connection, _nothing: None) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), schema))

    assert await metadata.read(differences, None) == []


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


async def test_what_was_committed_survives_reopening(tmp_path: Path) -> None:
    for expected in ([], ["kept"]):
        async with open_metadata(StorageSettings(folder=tmp_path)) as opened:
            assert await opened.read(namespaces, "") == expected
            if not expected:
                await opened.write(add, "kept")


async def test_two_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    async def start() -> list[str]:
        async with open_metadata(StorageSettings(folder=tmp_path)) as opened:
            return await opened.read(namespaces, "")

    assert await asyncio.gather(*(start() for _ in range(4))) == [[]] * 4


async def test_a_database_that_is_newer_than_the_program_is_refused(tmp_path: Path) -> None:
    async with open_metadata(StorageSettings(folder=tmp_path)):
        pass
    engine = create_engine(f"sqlite:///{tmp_path / DATABASE_FILE}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InvalidRequest, match="newer than this program"):
        async with open_metadata(StorageSettings(folder=tmp_path)):
            pass


@pytest.mark.parametrize("url", ["mysql://host/db", "not a url", "sqlite://"])
async def test_a_url_of_another_database_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"storage\.database_url"):
        async with open_metadata(StorageSettings(folder=tmp_path, database_url=SecretStr(url))):
            pass


@pytest.mark.parametrize("statement", [wishes._OPEN_WANTS, arrivals._SERVED, unclaimed._OLDEST, quota._RESERVE])
def test_an_upload_does_not_look_through_all_bundles_of_its_namespace(statement: ClauseElement) -> None:
    plan = _plan(statement)
    assert not [step for step in plan if "ix_bundles_tenant_id" in step or step == "SCAN bundles"], plan


@pytest.mark.parametrize(
    "statement",
    [
        *(unclaimed._OLDEST, quota._RESERVE, quota._STANDING),
        *(resumption._OPEN_OF_TENANT, resumption._STANDING, upload_endings._ENDED, upload_endings._IDLE),
    ],
)
def test_open_uploads_are_found_without_a_look_at_those_that_are_complete(statement: ClauseElement) -> None:
    plan = _plan(statement)
    assert any("uploads USING INDEX ix_uploads" in step for step in plan), plan


def _plan(statement: ClauseElement) -> list[str]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        schema.create_all(connection)
        compiled = re.sub(r"__\[POSTCOMPILE_\w+\]", "?, ?", str(statement.compile(dialect=engine.dialect)))
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", (1,) * compiled.count("?")).all()
    engine.dispose()
    return [step.detail for step in steps]
