"""Which blobs a tenant has, and which its open bundles want: queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select

from staging_protocol.digests import Digest
from staging_server.metadata.partial_indexes import BUNDLE_IS_OPEN, TENANT_OF_BUNDLE
from staging_server.metadata.rows import OF_TENANT, tenant_parameters
from staging_server.metadata.tables import STORED, blobs, bundle_files, bundles, tenant_blobs, tenants
from staging_server.tenants import Tenant

_OPEN_WANTS: Final = (
    select(bundle_files.c.digest, bundle_files.c.size)
    .join(bundles, bundles.c.number == bundle_files.c.bundle)
    .join(tenants, tenants.c.id == TENANT_OF_BUNDLE)
    .where(bundle_files.c.digest.in_(bindparam("digests", expanding=True)), BUNDLE_IS_OPEN, OF_TENANT)
    .distinct()
)
_HELD_SIZE: Final = (
    select(blobs.c.digest, blobs.c.size)
    .join(tenant_blobs, tenant_blobs.c.digest == blobs.c.digest)
    .join(tenants, tenants.c.id == tenant_blobs.c.tenant_id)
    .where(blobs.c.digest.in_(bindparam("digests", expanding=True)), blobs.c.state == STORED, OF_TENANT)
)


@dataclass(frozen=True, slots=True)
class BlobsOf:
    """Some digests, asked about by a tenant."""

    tenant: Tenant
    digests: Sequence[Digest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Whether a tenant holds a blob (its size, or None), and with what sizes its open bundles want it."""

    held: int | None
    wanted: frozenset[int]


def find_wish(connection: Connection, item: tuple[Tenant, Digest]) -> Wish:
    """Return whether the tenant has the blob and wants it: a query."""
    tenant, digest = item
    return find_wishes(connection, BlobsOf(tenant, (digest,)))[digest]


def find_wishes(connection: Connection, asked: BlobsOf) -> Mapping[Digest, Wish]:
    """Return for each of the digests whether the tenant has the blob, and wants it if it has not: a query."""
    parameters = tenant_parameters(asked.tenant)
    digests = [str(digest) for digest in asked.digests]
    held = {row.digest: row.size for row in connection.execute(_HELD_SIZE, {**parameters, "digests": digests})}
    wanted: dict[str, set[int]] = {digest: set() for digest in digests if digest not in held}
    if wanted:
        for row in connection.execute(_OPEN_WANTS, {**parameters, "digests": list(wanted)}):
            wanted[row.digest].add(row.size)
    return {digest: Wish(held=held.get(digest), wanted=frozenset(wanted.get(digest, ()))) for digest in asked.digests}
