"""What time alone takes away: uploads cut short, old tombstones, idempotency keys and audit rows."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, bindparam, delete, select

from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey
from staging_server.metadata.tables import audit, idempotency_keys, tombstones, uploads

_BATCH: Final = 1000
"""Rows in one transaction, so that requests do not wait behind a long one."""

_STALE: Final = (
    select(uploads.c.id, uploads.c.key)
    .where(uploads.c.started_at <= bindparam("until"), uploads.c.state.is_(None))
    .order_by(uploads.c.started_at)
    .limit(_BATCH)
)


def _drop(table: Table, *, by: Column[Any], time: Column[Any]) -> Any:
    some = select(by).where(time <= bindparam("until")).order_by(time).limit(_BATCH)
    return delete(table).where(by.in_(some))


_DROP_TOMBSTONES: Final = _drop(tombstones, by=tombstones.c.id, time=tombstones.c.ended_at)
_DROP_KEYS: Final = _drop(idempotency_keys, by=idempotency_keys.c.scope, time=idempotency_keys.c.created_at)
_DROP_AUDIT: Final = _drop(audit, by=audit.c.number, time=audit.c.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """What was made at these times (microseconds) or before goes."""

    tombstones: int
    keys: int
    audit: int


def drop_old(connection: Connection, ages: Ages) -> bool:
    """Remove a batch of old rows; True when there may be more."""
    counts = (
        connection.execute(_DROP_TOMBSTONES, {"until": ages.tombstones}).rowcount,
        connection.execute(_DROP_KEYS, {"until": ages.keys}).rowcount,
        connection.execute(_DROP_AUDIT, {"until": ages.audit}).rowcount,
    )
    return max(counts) >= _BATCH


def find_stale_uploads(connection: Connection, until: int) -> list[tuple[UploadId, BlobKey]]:
    """Return uploads of whole blobs that began at `until` or before and did not end: a query."""
    return [(UploadId(row.id), BlobKey(row.key)) for row in connection.execute(_STALE, {"until": until})]
