"""How a row of `bundles` is found, and read as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, bindparam, select

from staging_protocol.api import Bundle, BundleState, Pin
from staging_protocol.digests import Digest
from staging_protocol.errors import BundleExpired, NotFound
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_protocol.wire import decode
from staging_server.metadata.tables import bundles, pins, tenants, tombstones
from staging_server.retention import Facts, Owner, Policy, decide
from staging_server.tenants import Tenant
from staging_server.times import maybe_moment, moment_of

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
)
"""All of a bundle but its manifest and the hashes of its tokens."""

JOINED: Final = bundles.join(tenants, bundles.c.tenant_id == tenants.c.id).outerjoin(
    pins, pins.c.bundle == bundles.c.number
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


def facts_of(row: AnyRow) -> Facts:
    """Return what retention has to know; `row` has `COLUMNS`."""
    reference = _owner(row)
    return Facts(
        created_at=moment_of(row.created_at),
        last_activity_at=moment_of(row.last_activity_at),
        time_to_live=None if row.time_to_live is None else timedelta(microseconds=row.time_to_live),
        lease_until=maybe_moment(row.lease_until),
        pin=_pin(row),
        owner=None if reference is None else Owner(reference=reference),
    )


def bundle_of(row: AnyRow, policy: Policy) -> Bundle:
    """Return the bundle as the API shows it; `row` has `COLUMNS`."""
    return Bundle(
        id=BundleId(row.id),
        namespace=row.namespace,
        application=row.application,
        state=BundleState(row.state),
        created_at=moment_of(row.created_at),
        created_by=row.created_by,
        last_activity_at=moment_of(row.last_activity_at),
        # Seen from its creation every claim still holds, so that `until` is the latest end of all.
        expires_at=decide(facts_of(row), policy, moment_of(row.created_at)).until,
        files=row.files,
        size=row.size,
        manifest_digest=Digest(row.manifest_digest),
        owner=_owner(row),
        pin=_pin(row),
        lease_until=maybe_moment(row.lease_until),
    )


def _owner(row: AnyRow) -> OwnerReference | None:
    return None if row.owner is None else decode(row.owner, into=OwnerReference)


def _pin(row: AnyRow) -> Pin | None:
    return None if row.pinned is None else Pin(reason=row.pin_reason, until=maybe_moment(row.pin_until))
