"""How much of a tenant no bundle uses: for who considers to keep less."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, bindparam, exists, func, select

from staging_server.metadata.rows import AnyRow
from staging_server.metadata.tables import blobs, bundle_files, bundles, tenant_blobs, tenants
from staging_server.times import micros

_TENANTS: Final = select(tenants).order_by(tenants.c.namespace, tenants.c.id)
_IN_USE: Final = exists().where(
    and_(
        bundle_files.c.digest == tenant_blobs.c.digest,
        bundle_files.c.bundle == bundles.c.number,
        bundles.c.tenant_id == tenant_blobs.c.tenant_id,
    )
)
_BETWEEN: Final = (
    select(func.count(), func.coalesce(func.sum(blobs.c.size), 0))
    .select_from(tenant_blobs.join(blobs, blobs.c.digest == tenant_blobs.c.digest))
    .where(
        tenant_blobs.c.tenant_id == bindparam("of_tenant"),
        tenant_blobs.c.last_used > bindparam("since"),
        tenant_blobs.c.last_used <= bindparam("until"),
        ~_IN_USE,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Blobs of a tenant that were last used in this time."""

    tenant_id: int
    since: datetime
    until: datetime


def find_tenants(connection: Connection, _nothing: None) -> list[AnyRow]:
    """Return all tenants with their counts: a query."""
    return list(connection.execute(_TENANTS).all())


def count_unused(connection: Connection, span: Span) -> tuple[int, int]:
    """Return number and bytes of the blobs of `span` that no bundle of the tenant uses: a query."""
    parameters = {"of_tenant": span.tenant_id, "since": micros(span.since), "until": micros(span.until)}
    count, size = connection.execute(_BETWEEN, parameters).one()
    return count, int(size)
