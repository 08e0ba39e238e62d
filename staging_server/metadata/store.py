"""The database, opened: migrated, with its writer's task running."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from staging_protocol.errors import InvalidRequest, Unavailable
from staging_server.metadata.asynchronous import AsyncDatabase
from staging_server.metadata.base import Argument, Item, Metadata, Operation, Query, Result
from staging_server.metadata.migrations.migrate import migrate_postgresql, migrate_sqlite, require_current
from staging_server.metadata.threaded import ThreadedDatabase
from staging_server.metadata.writer import Writer
from staging_server.observer import SILENT, Observer
from staging_server.settings import StorageSettings

DATABASE_FILE: Final = "metadata.sqlite3"


class SqlMetadata:
    """`Metadata` over either database."""

    def __init__(self, database: ThreadedDatabase | AsyncDatabase, *, observer: Observer) -> None:
        self._database = database
        self._writer = Writer(database.transact, observer=observer)
        self._writing = asyncio.create_task(self._writer.run(), name="metadata writer")
        self._closed = False

    async def read(self, query: Query[Argument, Result], argument: Argument) -> Result:
        """See `Metadata.read`."""
        if self._closed:
            raise Unavailable("the server is shutting down", retry_after=5)
        return await self._database.read(query, argument)

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """See `Metadata.write`."""
        answer: Result = await self._writer.write(operation, item)
        return answer

    async def close(self) -> None:
        """See `Metadata.close`."""
        self._writer.close()
        await self._writing
        if not self._closed:
            self._closed = True
            await self._database.close()


@asynccontextmanager
async def open_metadata(settings: StorageSettings, *, observer: Observer = SILENT) -> AsyncIterator[Metadata]:
    """Open the database that `settings` name, bring it up to date, and close it at the end.

    Raises:
        InvalidRequest: the URL is of no database that we speak to, or the database is newer than this program.
        Unavailable: it does not answer.
    """
    database = await _open(settings)
    metadata = SqlMetadata(database, observer=observer)
    try:
        yield metadata
    finally:
        await metadata.close()


@asynccontextmanager
async def open_for_reading(settings: StorageSettings) -> AsyncIterator[Metadata]:
    """Open the database as it is, without changing anything; writes fail.

    Raises:
        InvalidRequest: there is none, or `migrate` has not brought it up to date.
        Unavailable: it does not answer.
    """
    path = database_file(settings)
    if path is None:
        database: ThreadedDatabase | AsyncDatabase = AsyncDatabase(_asyncpg(_url(settings)), settings=settings)
    elif not await asyncio.to_thread(path.is_file):
        msg = f"there is no database {path}"
        raise InvalidRequest(msg)
    else:
        database = await asyncio.to_thread(ThreadedDatabase, path, settings=settings, read_only=True)
    metadata = SqlMetadata(database, observer=SILENT)
    try:
        await metadata.read(require_current, None)
        yield metadata
    finally:
        await metadata.close()


def database_file(settings: StorageSettings) -> Path | None:
    """Return the file of the database when it is SQLite, else None."""
    url = _url(settings)
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise InvalidRequest("storage.database_url needs the path of a file: sqlite:////folder/metadata.sqlite3")
    return Path(url.database)


def _url(settings: StorageSettings) -> URL:
    if settings.database_url is None:
        return URL.create("sqlite", database=str(settings.folder / DATABASE_FILE))
    try:
        return make_url(settings.database_url.get_secret_value())
    except ArgumentError as error:
        raise InvalidRequest("storage.database_url is not a URL of a database") from error


async def _open(settings: StorageSettings) -> ThreadedDatabase | AsyncDatabase:
    url = _url(settings)
    match url.get_backend_name():
        case "sqlite":
            return await _open_sqlite(settings)
        case "postgresql":
            return await _open_postgresql(url, settings)
        case other:
            msg = f"storage.database_url names {other!r}; this server speaks to sqlite and postgresql"
            raise InvalidRequest(msg)


async def _open_sqlite(settings: StorageSettings) -> ThreadedDatabase:
    path = database_file(settings)
    assert path is not None  # noqa: S101 - for mypy: the caller saw a URL of SQLite
    database = await asyncio.to_thread(ThreadedDatabase, path, settings=settings)
    try:
        await asyncio.to_thread(migrate_sqlite, database.engine)
    except BaseException:
        await database.close()
        raise
    return database


async def _open_postgresql(url: URL, settings: StorageSettings) -> AsyncDatabase:
    database = AsyncDatabase(_asyncpg(url), settings=settings)
    try:
        await migrate_postgresql(database.engine)
    except BaseException:
        await database.close()
        raise
    return database


def _asyncpg(url: URL) -> URL:
    return url.set(drivername="postgresql+asyncpg")
