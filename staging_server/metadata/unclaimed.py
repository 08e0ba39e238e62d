"""Bytes of uploads in parts that no open bundle wants any more, because their bundle ended before they were complete.

Nothing has reserved them, so under a quota they count, and they are the first to go when room is needed: the one to
which nothing happened for the longest time before the others.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, bindparam, exists, func, select, update

from staging_server.audit import SWEEPER, Entry, append
from staging_server.metadata.partial_indexes import BUNDLE_IS_OPEN, TENANT_OF_BUNDLE, UPLOAD_IS_OPEN
from staging_server.metadata.tables import ENDED, bundle_files, bundles, tenants, uploads

_RESERVED: Final = exists().where(
    and_(
        bundle_files.c.digest == uploads.c.digest,
        bundle_files.c.size == uploads.c.size,
        bundles.c.number == bundle_files.c.bundle,
        uploads.c.tenant_id == TENANT_OF_BUNDLE,
        BUNDLE_IS_OPEN,
    )
)
SIZE: Final = (
    select(func.coalesce(func.sum(uploads.c.arrived), 0))
    .where(uploads.c.tenant_id == tenants.c.id, UPLOAD_IS_OPEN, ~_RESERVED)
    .correlate(tenants)
    .scalar_subquery()
)
"""Bytes of them, of the tenant of the statement around it."""

_OLDEST: Final = (
    select(uploads, tenants.c.namespace)
    .join(tenants, tenants.c.id == uploads.c.tenant_id)
    .where(uploads.c.tenant_id == bindparam("of_tenant"), UPLOAD_IS_OPEN, ~_RESERVED)
    .order_by(uploads.c.last_activity_at)
    # Who is being taken over just now is not idle.
    .with_for_update(of=uploads, skip_locked=True)
)
_END: Final = update(uploads).where(uploads.c.id == bindparam("upload")).values(state=ENDED)


def end_oldest(connection: Connection, *, tenant_id: int, now: datetime, count: int = 0, size: int = 0) -> bool:
    """End uploads of a tenant, until they were at least `count` and had `size` bytes, or none is left.

    Returns:
        Whether there were that many.  The next sweep removes their bytes.
    """
    for row in connection.execute(_OLDEST, {"of_tenant": tenant_id}).all():
        if count <= 0 and size <= 0:
            break
        connection.execute(_END, {"upload": row.id})
        count, size = count - 1, size - row.arrived
        entry = Entry(
            at=now, action="upload.expire", caller=SWEEPER, namespace=row.namespace, subject=row.id,
            detail=f"{row.digest}, {row.arrived} of {row.size} bytes had come; room was needed",
        )  # fmt: skip
        append(connection, [entry])
    return count <= 0 and size <= 0
