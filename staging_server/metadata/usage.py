"""Counts: of tenants, from their own rows; of the whole server; and their reconciliation with what is really there."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update

from staging_server.metadata.partial_indexes import BUNDLE_IS_OPEN
from staging_server.metadata.rows import OF_TENANT, AnyRow, tenant_parameters
from staging_server.metadata.tables import STORED, blobs, bundles, tenant_blobs, tenants
from staging_server.tenants import Tenant

_ALL: Final = select(tenants).order_by(tenants.c.namespace, tenants.c.id)
_STORED: Final = select(func.count(), func.coalesce(func.sum(blobs.c.size), 0)).where(blobs.c.state == STORED)


def _sum(what: ColumnElement[Any], *where: ColumnElement[bool]) -> ColumnElement[Any]:
    return select(func.coalesce(what, 0)).where(*where).scalar_subquery()


_OF_BUNDLES: Final = bundles.c.tenant_id == tenants.c.id
_OF_BLOBS: Final = (tenant_blobs.c.tenant_id == tenants.c.id, tenant_blobs.c.digest == blobs.c.digest)
_LOCK_ALL: Final = select(tenants.c.id).order_by(tenants.c.id).with_for_update()
_RECONCILE: Final = update(tenants).values(
    bundles=_sum(func.count(), _OF_BUNDLES),
    bundle_size=_sum(func.sum(bundles.c.size), _OF_BUNDLES),
    blobs=_sum(func.count(), tenant_blobs.c.tenant_id == tenants.c.id),
    blob_size=_sum(func.sum(blobs.c.size), *_OF_BLOBS),
    reserved=_sum(func.sum(bundles.c.reserved), _OF_BUNDLES, BUNDLE_IS_OPEN),
)
_UNUSED: Final = (
    update(blobs)
    .where(
        blobs.c.state == STORED,
        blobs.c.unused_since.is_(None),
        ~select(tenant_blobs.c.digest).where(tenant_blobs.c.digest == blobs.c.digest).exists(),
    )
    .values(unused_since=bindparam("now"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The rows of tenants, and how many blobs with how many bytes the server stores; each blob counts once."""

    tenants: list[AnyRow]
    blobs: int
    stored_size: int


def find_usage(connection: Connection, tenant: Tenant | None) -> Counts:
    """Return the counts of one tenant, or of all: a query."""
    if tenant is None:
        rows = connection.execute(_ALL).all()
    else:
        rows = connection.execute(_ALL.where(OF_TENANT), tenant_parameters(tenant)).all()
    count, size = connection.execute(_STORED).one()
    return Counts(tenants=list(rows), blobs=count, stored_size=int(size))


def reconcile(connection: Connection, now: int) -> None:
    """Count everything again; what a defect or an edit by hand had put wrong is right afterwards.

    It reads all bundles and claims, so it is done seldom.
    """
    connection.execute(_LOCK_ALL).all()
    connection.execute(_RECONCILE)
    connection.execute(_UNUSED, {"now": now})
