"""What a tenant may have: reserved at create by one conditional UPDATE, given back as bytes arrive or bundles end.

    blob_size   bytes of the blobs that the tenant holds
    reserved    bytes that its open bundles still want

Under a quota count also the bytes of uploads in parts whose bundle has ended (`unclaimed`).  They make room first, then
the blobs that no bundle of the tenant has, the longest unused before the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, bindparam, or_, select, update

from staging_protocol.errors import QuotaExceeded
from staging_server.metadata.base import Contention
from staging_server.metadata.blob_deletion import give_up_unused
from staging_server.metadata.tables import tenants
from staging_server.metadata.unclaimed import SIZE as UNCLAIMED
from staging_server.metadata.unclaimed import end_oldest

_COUNT: Final = (
    update(tenants)
    .where(tenants.c.id == bindparam("tenant_id"), tenants.c.bundles + bindparam("count") <= bindparam("max_bundles"))
    .values(
        bundles=tenants.c.bundles + bindparam("count"),
        bundle_size=tenants.c.bundle_size + bindparam("more_size"),
        reserved=tenants.c.reserved + bindparam("more_reserved"),
    )
)
_RESERVE: Final = _COUNT.where(
    # Who wants no bytes is not refused for bytes, even when the quota was lowered below what is there.
    or_(
        bindparam("more_reserved") == 0,
        tenants.c.blob_size + tenants.c.reserved + UNCLAIMED + bindparam("more_reserved") <= bindparam("quota"),
    )
)
_STANDING: Final = select(tenants, UNCLAIMED.label("unclaimed")).where(tenants.c.id == bindparam("tenant_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one new bundle takes."""

    tenant_id: int
    size: int
    reserved: int
    max_bundles: int
    quota: int | None
    now: datetime


def reserve(connection: Connection, demands: Sequence[Demand]) -> None:
    """Take what `demands` ask for, all of one tenant at once.

    Raises:
        QuotaExceeded: a lone demand is too much.
        Contention: several together are; alone each of them will be answered.
    """
    for tenant_id, group in groupby(sorted(demands, key=lambda d: d.tenant_id), key=lambda d: d.tenant_id):
        together = list(group)
        if _try(connection, together):
            continue
        if len(demands) > 1:
            msg = f"tenant {tenant_id} is near a limit: one at a time"
            raise Contention(msg)
        _make_room(connection, together[0])


def _try(connection: Connection, demands: Sequence[Demand]) -> bool:
    first = demands[0]
    parameters = {
        "tenant_id": first.tenant_id,
        "count": len(demands),
        "more_size": sum(demand.size for demand in demands),
        "more_reserved": sum(demand.reserved for demand in demands),
        "max_bundles": first.max_bundles,
    }
    if first.quota is None:
        return connection.execute(_COUNT, parameters).rowcount == 1
    return connection.execute(_RESERVE, {**parameters, "quota": first.quota}).rowcount == 1


def _make_room(connection: Connection, demand: Demand) -> None:
    standing = connection.execute(_STANDING, {"tenant_id": demand.tenant_id}).one()
    if demand.quota is None or standing.bundles + 1 > demand.max_bundles:
        msg = f"the namespace has {standing.bundles} bundles and may have {demand.max_bundles}; delete some"
        raise QuotaExceeded(msg)
    taken = standing.blob_size + standing.reserved + standing.unclaimed
    short = taken + demand.reserved - demand.quota
    end_oldest(connection, tenant_id=demand.tenant_id, size=short, now=demand.now)
    give_up_unused(connection, tenant_id=demand.tenant_id, at_least=short - int(standing.unclaimed), now=demand.now)
    if not _try(connection, [demand]):
        msg = (
            f"{demand.reserved} more bytes do not fit into the quota of the namespace: {demand.quota} bytes, "
            f"{standing.blob_size} stored and {standing.reserved} reserved by open bundles"
        )
        raise QuotaExceeded(msg)
