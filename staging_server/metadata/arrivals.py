"""Bytes that arrive: who wants a blob, the uploads under way, and the moment at which bytes become a blob.

An `uploads` row is written before the first byte and names the key at which the bytes will lie.  It goes away in the
transaction that names the key in `blobs`, or after the bytes are removed again.  So whatever a crash leaves, either a
blob row or an upload row knows of the bytes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Integer, and_, bindparam, delete, exists, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from staging_protocol.api import BundleState
from staging_protocol.digests import Digest
from staging_protocol.errors import BlobNotWanted
from staging_protocol.uploads import UploadId
from staging_server.audit import Entry, append
from staging_server.blobs.base import BlobKey
from staging_server.metadata.rows import OF_TENANT, tenant_parameters
from staging_server.metadata.tables import STORED, blobs, bundle_files, bundles, tenant_blobs, tenants, uploads
from staging_server.tenants import Caller, Tenant
from staging_server.times import micros

# Open bundles are few, those of a tenant may be many.  SQLite takes the index of the open ones only when their state is
# written into the statement, not bound, and when the sign hides the index of the tenant from it.
_IS_OPEN: Final = bundles.c.state == literal_column(f"'{BundleState.OPEN.value}'")
_TENANT_ID: Final = literal_column("+bundles.tenant_id", Integer)

_OPEN_WANTS: Final = (
    select(bundle_files.c.size)
    .join(bundles, bundles.c.number == bundle_files.c.bundle)
    .join(tenants, tenants.c.id == _TENANT_ID)
    .where(bundle_files.c.digest == bindparam("digest"), _IS_OPEN, OF_TENANT)
    .distinct()
)
_HELD_SIZE: Final = (
    select(blobs.c.size)
    .join(tenant_blobs, tenant_blobs.c.digest == blobs.c.digest)
    .join(tenants, tenants.c.id == tenant_blobs.c.tenant_id)
    .where(blobs.c.digest == bindparam("digest"), blobs.c.state == STORED, OF_TENANT)
)
TENANT_ID: Final = select(tenants.c.id).where(OF_TENANT)
_BEGIN: Final = insert(uploads)
_END: Final = delete(uploads).where(uploads.c.id == bindparam("upload"))
_LOCKED: Final = select(blobs).where(blobs.c.digest == bindparam("of_digest")).with_for_update()
_STORE: Final = (
    update(blobs)
    .where(blobs.c.digest == bindparam("of_digest"))
    .values(state=STORED, size=bindparam("new_size"), key=bindparam("new_key"), unused_since=None)
)
_IN_USE: Final = update(blobs).where(blobs.c.digest == bindparam("of_digest")).values(unused_since=None)
_OWN: Final = upsert(tenant_blobs).on_conflict_do_nothing()
_ARRIVED: Final = (
    update(bundles)
    .where(
        bindparam("of_tenant") == _TENANT_ID,
        _IS_OPEN,
        exists().where(
            and_(bundle_files.c.bundle == bundles.c.number, bundle_files.c.digest == bindparam("of_digest"))
        ),
        bundles.c.reserved >= bindparam("arrived"),
    )
    .values(reserved=bundles.c.reserved - bindparam("arrived"), last_activity_at=bindparam("now"))
)
_COUNT: Final = (
    update(tenants)
    .where(tenants.c.id == bindparam("of_tenant"))
    .values(
        blobs=tenants.c.blobs + 1,
        blob_size=tenants.c.blob_size + bindparam("arrived"),
        reserved=tenants.c.reserved - bindparam("released"),
    )
)


@dataclass(frozen=True, slots=True)
class BlobOf:
    """A digest, asked about by a tenant."""

    tenant: Tenant
    digest: Digest

    @property
    def parameters(self) -> dict[str, object]:
        """For the statements of this module."""
        return {"digest": str(self.digest), **tenant_parameters(self.tenant)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Whether a tenant holds a blob (its size, or None), and with what sizes its open bundles want it."""

    held: int | None
    wanted: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An upload: of a tenant, for a digest, to a key."""

    upload: UploadId
    tenant: Tenant
    caller: Caller
    digest: Digest
    size: int
    key: BlobKey
    now: datetime


def find_wish(connection: Connection, blob: BlobOf) -> Wish:
    """Return whether the tenant has the blob and wants it: a query."""
    held = connection.execute(_HELD_SIZE, blob.parameters).scalar()
    if held is not None:
        return Wish(held=held, wanted=frozenset())
    return Wish(held=None, wanted=frozenset(connection.execute(_OPEN_WANTS, blob.parameters).scalars()))


def begin_upload(connection: Connection, arrival: Arrival) -> None:
    """Remember that bytes are about to come."""
    connection.execute(
        _BEGIN,
        {
            "id": str(arrival.upload),
            "tenant_id": connection.execute(TENANT_ID, tenant_parameters(arrival.tenant)).scalar_one(),
            "digest": str(arrival.digest),
            "key": str(arrival.key),
            "started_at": micros(arrival.now),
        },
    )


def store_blob(connection: Connection, arrival: Arrival) -> bool:
    """Do what `name_blob` does, and end the upload; when that is False, its row stays until `end_upload`."""
    kept = name_blob(connection, arrival)
    if kept:
        connection.execute(_END, {"upload": str(arrival.upload)})
    return kept


def name_blob(connection: Connection, arrival: Arrival) -> bool:
    """Make the bytes under the key of `arrival` a blob of its tenant; they are verified and durable.

    Returns:
        Whether the row names this key now.  False: the same bytes were stored already, and these are to be removed.

    Raises:
        BlobNotWanted: nobody wants it any more; the bytes are to be removed.
    """
    blob = BlobOf(arrival.tenant, arrival.digest)
    row = connection.execute(_LOCKED, {"of_digest": str(arrival.digest)}).one_or_none()
    wish = find_wish(connection, blob)
    if row is None or (wish.held is None and arrival.size not in wish.wanted):
        msg = f"the bundle that wanted {arrival.digest} has ended"
        raise BlobNotWanted(msg)
    kept = bool(row.state != STORED)
    if kept:
        connection.execute(
            _STORE, {"of_digest": str(arrival.digest), "new_size": arrival.size, "new_key": str(arrival.key)}
        )
    elif row.unused_since is not None:
        connection.execute(_IN_USE, {"of_digest": str(arrival.digest)})
    if wish.held is None:
        _give(connection, arrival)
    append(connection, [_entry(arrival, kept=kept)])
    return kept


def end_upload(connection: Connection, upload: UploadId) -> None:
    """Forget an upload whose bytes are gone."""
    connection.execute(_END, {"upload": str(upload)})


def is_named(connection: Connection, key: BlobKey) -> bool:
    """Tell whether a blob's row names `key`.

    Ask by a write, not by a read: then no earlier write is still under way.
    """
    row = connection.execute(_LOCKED, {"of_digest": str(key.digest)}).one_or_none()
    return row is not None and bool(row.key == key)


def _give(connection: Connection, arrival: Arrival) -> None:
    tenant_id = connection.execute(TENANT_ID, tenant_parameters(arrival.tenant)).scalar_one()
    now = micros(arrival.now)
    of_blob = {"of_tenant": tenant_id, "of_digest": str(arrival.digest), "arrived": arrival.size}
    connection.execute(_OWN, {"tenant_id": tenant_id, "digest": str(arrival.digest), "last_used": now})
    # Each open bundle that has the digest reserved its bytes, because the tenant did not hold it until now.
    bundles_served = connection.execute(_ARRIVED, {**of_blob, "now": now}).rowcount
    connection.execute(
        _COUNT, {"of_tenant": tenant_id, "arrived": arrival.size, "released": arrival.size * bundles_served}
    )


def _entry(arrival: Arrival, *, kept: bool) -> Entry:
    return Entry(
        at=arrival.now,
        action="blob.store",
        caller=arrival.caller,
        namespace=arrival.tenant.namespace,
        subject=arrival.digest,
        detail=f"{arrival.size} bytes" if kept else f"{arrival.size} bytes, already stored",
    )
