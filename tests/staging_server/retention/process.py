"""A process that sweeps, over a database in memory; it can be killed at every transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Connection, StaticPool, create_engine, delete, event, text

from staging_protocol.errors import Unavailable
from staging_protocol.tokens import BundleId
from staging_server.blobs.base import BlobStore
from staging_server.metadata import leases
from staging_server.metadata.base import Argument, Item, Operation, Query, Result
from staging_server.metadata.leases import SweepLease
from staging_server.metadata.tables import schema
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.sights import UNKNOWN, Sights
from staging_server.retention.sweep_blobs import BlobSweep
from staging_server.retention.sweep_bundles import BundleSweep
from staging_server.times import Clock
from tests.staging_server.retention.blobs import GRACE, Bytes
from tests.staging_server.retention.world import Watch


class Killed(Exception):
    """The process died here."""


class Database:
    """SQLite in memory."""

    def __init__(self) -> None:
        engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA foreign_keys = ON"))
        schema.create_all(engine)
        self._engine = engine
        self.connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def clear(self) -> None:
        """Empty all tables."""
        for table in reversed(schema.sorted_tables):
            self.connection.execute(delete(table))

    def close(self) -> None:
        self.connection.close()
        self._engine.dispose()


@dataclass
class DirectMetadata:
    """`Metadata` of one process, each write a transaction of its own.

    `dies_in` counts down with each write; at 0 the process is killed, before or after the commit in turn.  `polite`
    lets others go on before each call.
    """

    connection: Connection
    dies_in: int | None = None
    polite: bool = False

    async def read(self, query: Query[Argument, Result], argument: Argument) -> Result:
        """See `Metadata.read`."""
        if self.polite:
            await asyncio.sleep(0)
        return query(self.connection, argument)

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """See `Metadata.write`."""
        if self.polite:
            await asyncio.sleep(0)
        dies = self._dies()
        self.connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            results: Sequence[Any] = operation(self.connection, [item])
            if dies and (self.dies_in or 0) % 2:
                raise Killed  # noqa: TRY301 - as if it came out of the operation
        except BaseException:
            self.connection.exec_driver_sql("ROLLBACK")
            raise
        self.connection.exec_driver_sql("COMMIT")
        if dies:
            raise Killed
        answer: Result = results[0]
        return answer

    async def close(self) -> None:
        """See `Metadata.close`."""

    def _dies(self) -> bool:
        if self.dies_in is None:
            return False
        self.dies_in -= 1
        return self.dies_in <= 0


@dataclass
class Process:
    """Sweeps bundles with what its watch knows; without one it knows nothing, like a command beside a server."""

    database: Database
    policies: KnownPolicies
    clock: Clock
    watch: Watch | None
    store: Bytes
    metadata: DirectMetadata = field(init=False)

    def __post_init__(self) -> None:
        self.metadata = DirectMetadata(self.database.connection)
        sights: Sights = UNKNOWN if self.watch is None else self.watch
        self._sweep = BundleSweep(metadata=self.metadata, policies=self.policies, sights=sights, clock=self.clock)
        store = cast("BlobStore", self.store)
        self._blobs = BlobSweep(metadata=self.metadata, blobs=store, policies=self.policies, grace=GRACE)

    async def sweep(self, *, blobs: bool = True) -> list[BundleId]:
        """Sweep, and return what ended; a process that is killed returns nothing and lives no more."""
        lease = SweepLease(BundleId.generate())
        # Whoever had it is dead, or will find out that it has lost it.
        self.database.connection.execute(text("UPDATE leases SET until = 0"))
        leases.take(self.database.connection, lease)
        ended = []
        try:
            async for bundle in self._sweep.run(lease, self.clock()):
                ended.append(bundle.id)  # noqa: PERF401 - what came before it died is wanted, too
            if blobs:
                async for _ in self._blobs.run(lease, self.clock()):
                    pass
        except (Unavailable, Killed):
            pass
        return ended
