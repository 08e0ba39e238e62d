"""How a row of `bundles` is found; `lives` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, bindparam, select

from staging_protocol.errors import BundleExpired, NotFound
from staging_protocol.tokens import BundleId
from staging_server.metadata.tables import bundles, pins, sightings, tenants, tombstones
from staging_server.tenants import Tenant
from staging_server.times import moment_of

OF_TENANT: Final = and_(
    tenants.c.cluster == bindparam("cluster"),
    tenants.c.namespace == bindparam("namespace"),
    tenants.c.uid == bindparam("uid"),
)
"""The tenant of a request; its parameters come from `tenant_parameters`."""

COLUMNS: Final = (
    *(column for column in bundles.c if column.name not in {"manifest", "token_hash", "old_token_hash"}),
    tenants.c.namespace,
    pins.c.reason.label("pin_reason"),
    pins.c.until.label("pin_until"),
    pins.c.bundle.label("pinned"),
    sightings.c.bundle.label("sighted"),
    *(column for column in sightings.c if column.name != "bundle"),
)
"""All of a bundle but its manifest and the hashes of its tokens."""

JOINED: Final = (
    bundles.join(tenants, bundles.c.tenant_id == tenants.c.id)
    .outerjoin(pins, pins.c.bundle == bundles.c.number)
    .outerjoin(sightings, sightings.c.bundle == bundles.c.number)
)

_ONE: Final = select(*COLUMNS).select_from(JOINED).where(bundles.c.id == bindparam("bundle_id"), OF_TENANT)
_ONE_LOCKED: Final = _ONE.with_for_update(of=bundles)
_TOMBSTONE: Final = (
    select(tombstones.c.ended_at, tombstones.c.reason)
    .join(tenants, tombstones.c.tenant_id == tenants.c.id)
    .where(tombstones.c.id == bindparam("bundle_id"), OF_TENANT)
)

AnyRow = Row[*tuple[Any, ...]]
"""A row whose columns the statement's author knows."""


@dataclass(frozen=True, slots=True)
class BundleAt:
    """A bundle as a path names it."""

    tenant: Tenant
    id: BundleId

    @property
    def parameters(self) -> dict[str, object]:
        """For statements with `OF_TENANT` and `bundle_id`."""
        return {"bundle_id": str(self.id), **tenant_parameters(self.tenant)}


def tenant_parameters(tenant: Tenant) -> dict[str, object]:
    """Return the parameters of `OF_TENANT`."""
    return {"cluster": tenant.cluster, "namespace": tenant.namespace, "uid": tenant.uid}


def find_bundle(connection: Connection, at: BundleAt) -> AnyRow:
    """Return the row of a bundle that lives.

    Raises:
        BundleExpired: it has ended.
        NotFound: the tenant never had it, or its tombstone is gone too.
    """
    return one_row(connection, _ONE, at)


def lock_bundle(connection: Connection, at: BundleAt) -> AnyRow:
    """Return the row as `find_bundle` does, and keep others from changing it until the transaction ends."""
    return one_row(connection, _ONE_LOCKED, at)


def one_row(
    connection: Connection,
    statement: Select[Any],
    at: BundleAt,
    parameters: Mapping[str, object] = MappingProxyType({}),
) -> AnyRow:
    """Return the row that `statement` gives for the bundle, or raise as `find_bundle` does."""
    row = connection.execute(statement, {**at.parameters, **parameters}).one_or_none()
    if row is not None:
        return row
    ended = connection.execute(_TOMBSTONE, at.parameters).one_or_none()
    if ended is not None:
        raise expired(ended.ended_at, ended.reason)
    msg = f"there is no bundle {at.id} in namespace {at.tenant.namespace}"
    raise NotFound(msg)


def expired(ended_at: int, reason: str) -> BundleExpired:
    """Return the error that tells the end of a bundle."""
    moment = moment_of(ended_at)
    return BundleExpired(f"the bundle ended at {moment:%Y-%m-%d %H:%M:%SZ}: {reason}", ended_at=moment, reason=reason)
