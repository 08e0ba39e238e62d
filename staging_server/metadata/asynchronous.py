"""PostgreSQL through asyncpg: the same functions, run by SQLAlchemy's bridge on connections of a pool."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from staging_protocol.errors import NoSpace, Unavailable
from staging_server.metadata.base import Argument, Contention, Query, Result
from staging_server.settings import StorageSettings

_CONTENTION: Final = frozenset({"23503", "23505", "40001", "40P01", "55P03"})
"""SQLSTATE: foreign key, unique, serialization failure, deadlock, lock not available (PostgreSQL, appendix A)."""

_NO_SPACE: Final = "53100"
_RECYCLE: Final = 1800
"""Seconds after which a connection is replaced, so that load balancers do not cut it first."""


class AsyncDatabase:
    """A PostgreSQL database."""

    def __init__(self, url: URL, *, settings: StorageSettings) -> None:
        self._engine = create_async_engine(
            url, pool_size=settings.readers + 1, max_overflow=0, pool_pre_ping=True, pool_recycle=_RECYCLE
        )
        # Reads are single statements mostly: without a transaction they cost one round trip instead of three.
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def engine(self) -> AsyncEngine:
        """For migrations."""
        return self._engine

    async def transact(self, work: Callable[[Connection], Sequence[Any]]) -> Sequence[Any]:
        """Run `work` in one transaction."""
        try:
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)
        except (SQLAlchemyError, OSError) as error:
            raise _translate(error) from error

    async def read(self, query: Query[Argument, Result], argument: Argument) -> Result:
        """Run `query` outside of any transaction."""
        try:
            async with self._reading.connect() as connection:
                return await connection.run_sync(query, argument)
        except (SQLAlchemyError, OSError) as error:
            raise _translate(error) from error

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()


def _translate(error: SQLAlchemyError | OSError) -> Exception:
    if isinstance(error, OSError):
        return Unavailable("the database does not answer", retry_after=5)
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if state in _CONTENTION:
        return Contention(str(error))
    if state == _NO_SPACE:
        return NoSpace("the disk of the database is full")
    if isinstance(error, (OperationalError, InterfaceError)) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    ):
        return Unavailable("the database does not answer", retry_after=5)
    return error
