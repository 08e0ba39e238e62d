"""SQLite: one connection and one thread for writing, a few of each for reading.

Measured against aiosqlite, which crosses a thread for every step of every statement: whole functions on a thread of
their own create five times as many bundles a second alone, twice as many in groups, and read three times as fast for
the same CPU (docs/decisions/0006-sqlite-on-threads.md).
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from staging_protocol.errors import NoSpace, StagingError, Unavailable
from staging_server.metadata.base import Argument, Contention, Query, Result
from staging_server.settings import StorageSettings

_STATEMENTS: Final = 500
"""Compiled statements kept; we have fewer than a hundred, each in a few lengths of `IN`."""


class ThreadedDatabase:
    """A SQLite file.  Made by `open_threaded`, ended by `close`."""

    def __init__(self, path: Path, *, settings: StorageSettings, read_only: bool = False) -> None:
        url = _read_only(path) if read_only else URL.create("sqlite+pysqlite", database=str(path))
        self._engine = create_engine(url, poolclass=NullPool, query_cache_size=_STATEMENTS,
                                     connect_args={"check_same_thread": False})  # fmt: skip
        event.listen(self._engine, "connect", _Connect(settings))
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")
        self._read_threads = ThreadPoolExecutor(settings.readers, thread_name_prefix="sqlite-read")

    @property
    def engine(self) -> Engine:
        """For migrations, on the thread that calls."""
        return self._engine

    async def transact(self, work: Callable[[Connection], Sequence[Any]]) -> Sequence[Any]:
        """Run `work` in one transaction on the thread for writing."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._write_thread, self._transact, work)

    async def read(self, query: Query[Argument, Result], argument: Argument) -> Result:
        """Run `query` on a thread for reading."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._read_threads, self._read, query, argument)

    async def close(self) -> None:
        """End the threads, then the connections."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._read_threads.shutdown()
        self._write_thread.shutdown()
        for connection in self._connections:
            connection.close()
        self._engine.dispose()

    def _connection(self) -> Connection:
        if not hasattr(self._local, "connection"):
            # AUTOCOMMIT tells SQLAlchemy to leave transactions alone: we begin our own, with IMMEDIATE.
            self._local.connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connections.append(self._local.connection)
        connection: Connection = self._local.connection
        return connection

    def _transact(self, work: Callable[[Connection], Sequence[Any]]) -> Sequence[Any]:
        with _Translated():
            connection = self._connection()
            # A deferred transaction could fail at its first write, after its reads; this one waits at its start.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                results = work(connection)
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise
            return results

    def _read(self, query: Query[Argument, Result], argument: Argument) -> Result:
        with _Translated():
            return query(self._connection(), argument)


def _read_only(path: Path) -> URL:
    return URL.create("sqlite+pysqlite", database=path.absolute().as_uri(), query={"mode": "ro", "uri": "true"})


def _roll_back(connection: Connection) -> None:
    # After some errors (disk full) SQLite has rolled back by itself.
    if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("ROLLBACK")


class _Connect:
    """Sets up each new connection."""

    def __init__(self, settings: StorageSettings) -> None:
        self._pragmas = (
            f"busy_timeout = {int(settings.busy_timeout * 1000)}",
            "journal_mode = WAL",
            f"synchronous = {settings.synchronous}",
            "foreign_keys = ON",
            # KiB for each connection.  What is not in it comes from the kernel's page cache, in microseconds; 16 MiB
            # each made the server half as large again and nothing faster.
            "cache_size = -4096",
            "journal_size_limit = 67108864",
            "trusted_schema = OFF",
        )

    def __call__(self, dbapi_connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transactions begin deferred, and only before some statements.
        dbapi_connection.isolation_level = None
        for pragma in self._pragmas:
            dbapi_connection.execute(f"PRAGMA {pragma}").close()


class _Translated:
    """The edge at which SQLite's errors become ours."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, SQLAlchemyError):
            raise _translate(error) from error


def _translate(error: SQLAlchemyError) -> StagingError | Contention | SQLAlchemyError:
    if isinstance(error, IntegrityError):
        return Contention(str(error.orig))
    if not isinstance(error, DBAPIError) or not isinstance(error.orig, sqlite3.Error):
        return error
    match getattr(error.orig, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the primary code
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable("the database is locked by another process", retry_after=1)
        case sqlite3.SQLITE_FULL:
            return NoSpace("the disk of the database is full")
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CORRUPT:
            return Unavailable(f"the database cannot be used: {error.orig}", retry_after=10)
        case _:
            return error
