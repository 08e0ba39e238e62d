"""Leases: what one process at a time may do, as a row with an end by the database's own clock.

    sweep   to delete, for one sweep
    lead    to watch Kubernetes and to sweep in a loop

The clocks of replicas may differ; the database has one.  Every deleting transaction begins with `require`, which keeps
the row locked, so a sweeper that slept through the end of its lease deletes nothing.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, bindparam, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from staging_protocol.errors import Unavailable
from staging_server.metadata.tables import leases

SWEEP: Final = "sweep"
LEAD: Final = "lead"

SECONDS: Final = 120
"""How long a lease lasts; it is renewed with every batch of a sweep, and nobody takes over before."""

_MICROSECONDS: Final = 1_000_000


class _DatabaseNow(FunctionElement[int]):
    """Microseconds UTC by the clock of the database."""

    type = BigInteger()
    inherit_cache = True
    name = "database_now"


@compiles(_DatabaseNow, "sqlite")
def _now_of_sqlite(_element: _DatabaseNow, _compiler: object, **_options: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


@compiles(_DatabaseNow, "postgresql")
def _now_of_postgresql(_element: _DatabaseNow, _compiler: object, **_options: object) -> str:
    # now() stands still inside a transaction, which may have waited for a lock.
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"


_NAMED: Final = leases.c.name == bindparam("of_name")
_ROW: Final = upsert(leases).values(name=bindparam("of_name"), holder="", until=0).on_conflict_do_nothing()
_TAKE: Final = (
    update(leases)
    .where(
        _NAMED,
        or_(leases.c.until < _DatabaseNow(), leases.c.holder == bindparam("of_holder")),
    )
    .values(holder=bindparam("of_holder"), until=_DatabaseNow() + SECONDS * _MICROSECONDS)
)
_GIVE_BACK: Final = update(leases).where(_NAMED, leases.c.holder == bindparam("of_holder")).values(until=0)
_STILL: Final = (
    select(leases.c.name)
    .where(
        _NAMED,
        leases.c.holder == bindparam("of_holder"),
        leases.c.until >= _DatabaseNow(),
    )
    .with_for_update(read=True)
)


@dataclass(frozen=True, slots=True)
class SweepLease:
    """A right; `holder` is unique to who has it."""

    holder: str
    name: str = SWEEP

    @property
    def parameters(self) -> dict[str, Any]:
        """For the statements of this module."""
        return {"of_holder": self.holder, "of_name": self.name}


def take(connection: Connection, lease: SweepLease) -> bool:
    """Take or renew the lease; False while another holder has it."""
    connection.execute(_ROW, {"of_name": lease.name})
    return connection.execute(_TAKE, lease.parameters).rowcount == 1


def give_back(connection: Connection, lease: SweepLease) -> None:
    """Let the next sweep begin at once."""
    connection.execute(_GIVE_BACK, lease.parameters)


def require(connection: Connection, lease: SweepLease) -> None:
    """Make sure, inside a deleting transaction, that the lease is still held.

    Raises:
        Unavailable: it is not; the sweep has to stop.
    """
    if connection.execute(_STILL, lease.parameters).one_or_none() is None:
        raise Unavailable("this sweep lost its lease to another one", retry_after=SECONDS)
