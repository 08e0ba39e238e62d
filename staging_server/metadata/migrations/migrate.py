"""Brings a database up to date, under a lock, so that replicas that start together do it once.

The usual start finds the newest version with one query and does not even import Alembic.
"""

import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from staging_protocol.errors import InvalidRequest, NoSpace, Unavailable

HEAD: Final = "0003"
"""The newest step in `versions/`; a test keeps the two together."""

_LOCK: Final = 0x5354_4147_494E_4701
"""Key of PostgreSQL's advisory lock: `STAGING` and a number."""

_FOLDER: Final = Path(__file__).parent


def migrate_sqlite(engine: Engine) -> None:
    """Bring a SQLite database up to date; waits for the thread or process that is at it already.

    Raises:
        InvalidRequest: the database is newer than this program, or not one of ours.
        Unavailable: it cannot be opened or is locked for too long.
    """
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if _version(connection) == HEAD:
                return
            # SQLite's DDL is part of transactions, so a half-done migration is never seen.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection)
            connection.exec_driver_sql("COMMIT")
    except SQLAlchemyError as error:
        raise _translate(error) from error


async def migrate_postgresql(engine: AsyncEngine) -> None:
    """Bring a PostgreSQL database up to date; raises as `migrate_sqlite` does."""
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_upgrade)
    except (SQLAlchemyError, OSError) as error:
        raise _translate(error) from error


def require_current(connection: Connection, _nothing: None) -> None:
    """Refuse a database that is older or newer than this program: a query; raises InvalidRequest."""
    version = _version(connection)
    if version != HEAD:
        msg = f"the database has version {version}, and this program needs {HEAD}: run `spark-staging-server migrate`"
        raise InvalidRequest(msg)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    version = _version(connection)
    if version == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        msg = f"the database has version {version}, which is newer than this program ({HEAD}); install that release"
        raise InvalidRequest(msg)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _translate(error: SQLAlchemyError | OSError) -> NoSpace | Unavailable:
    original = getattr(error, "orig", None)
    if getattr(original, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return NoSpace("the disk of the database is full; free some")
    detail = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return Unavailable(f"the database cannot be opened: {detail}", retry_after=5)
