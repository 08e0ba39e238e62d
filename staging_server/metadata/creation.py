"""Creating bundles, many at a time: the hottest change, so its cost is counted in statements for the whole group.

The order matters.  Stored blobs are read with a shared lock: a sweep that wants to delete one waits for us, or has
marked it `deleting`, and then it is wanted again.  Next come the rows that name the digests; from then on the foreign
key keeps the blobs.  The quota comes last, because making room under it must not touch what was just named.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from staging_protocol.digests import Digest
from staging_server.metadata.holdings import find_held, note_use
from staging_server.metadata.idempotency import find_keys, replay
from staging_server.metadata.new_bundles import Created, Fresh, NewBundleRow, insert_bundles
from staging_server.metadata.quota import Demand, reserve
from staging_server.metadata.rows import OF_TENANT, tenant_parameters
from staging_server.metadata.tables import tenants
from staging_server.tenants import Tenant

_TENANT: Final = upsert(tenants).on_conflict_do_nothing()
_FIND_TENANT: Final = select(tenants.c.id).where(OF_TENANT)


def create_bundles(connection: Connection, items: Sequence[NewBundleRow]) -> list[Created]:
    """Make bundles, or recognise that they were made: an operation.

    Raises:
        IdempotencyMismatch: the key was used with another body.
        BundleExpired: the key's bundle has ended.
        DigestMismatch: the tenant has a blob of that digest, but with another size.
        QuotaExceeded: the tenant has too many bundles or bytes.
    """
    seen = find_keys(connection, items)
    tenant_ids = {tenant: _tenant_id(connection, tenant) for tenant in sorted({i.tenant for i in items}, key=str)}
    held = find_held(connection, _digests_of(items, tenant_ids))
    fresh = {
        position: Fresh(item, tenant_id=tenant_ids[item.tenant], held=held[tenant_ids[item.tenant]])
        for position, item in enumerate(items)
        if item.scope not in seen
    }
    if fresh:
        insert_bundles(connection, list(fresh.values()))
        note_use(connection, chain.from_iterable(new.uses() for new in fresh.values()), held)
        reserve(connection, [_demand(new) for new in fresh.values()])
    return [
        _created(fresh[position])
        if position in fresh
        else replay(connection, item, seen[str(item.scope)], held[tenant_ids[item.tenant]])
        for position, item in enumerate(items)
    ]


def _tenant_id(connection: Connection, tenant: Tenant) -> int:
    found = connection.execute(_FIND_TENANT, tenant_parameters(tenant)).scalar()
    if found is None:
        connection.execute(_TENANT, tenant_parameters(tenant))
        found = connection.execute(_FIND_TENANT, tenant_parameters(tenant)).scalar_one()
    return int(found)


def _digests_of(items: Sequence[NewBundleRow], tenant_ids: Mapping[Tenant, int]) -> dict[int, set[Digest]]:
    digests: dict[int, set[Digest]] = {tenant_id: set() for tenant_id in tenant_ids.values()}
    for item in items:
        digests[tenant_ids[item.tenant]].update(file.digest for file in item.files)
    return digests


def _demand(new: Fresh) -> Demand:
    item = new.item
    return Demand(
        tenant_id=new.tenant_id,
        size=item.size,
        reserved=new.reserved,
        max_bundles=item.max_bundles,
        quota=item.quota,
        now=item.now,
    )


def _created(new: Fresh) -> Created:
    return Created(id=new.item.id, token=new.item.token, sealed=not new.wanted, wanted=new.wanted)
