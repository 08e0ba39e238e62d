"""Bytes that arrive: the uploads under way, and the moment at which bytes become blobs.

An `uploads` row is written before the first byte and names the key at which the bytes will lie.  It goes away in the
transaction that names the key in `blobs`, or after the bytes are removed again.  So whatever a crash leaves, either a
blob row or an upload row knows of the bytes.

Small files arrive many together.  What is done here is done for all of them at once, with as many statements as for
one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from staging_protocol.digests import Digest
from staging_protocol.errors import BlobNotWanted
from staging_protocol.uploads import UploadId
from staging_server.audit import Entry, append
from staging_server.blobs.base import BlobKey
from staging_server.metadata.partial_indexes import BUNDLE_IS_OPEN, TENANT_OF_BUNDLE
from staging_server.metadata.rows import OF_TENANT, AnyRow, tenant_parameters
from staging_server.metadata.tables import STORED, blobs, bundle_files, bundles, tenant_blobs, tenants, uploads
from staging_server.metadata.wishes import BlobsOf, Wish, find_wishes
from staging_server.tenants import Caller, Tenant
from staging_server.times import micros

TENANT_ID: Final = select(tenants.c.id).where(OF_TENANT)
_BEGIN: Final = insert(uploads)
_END: Final = delete(uploads).where(uploads.c.id == bindparam("upload"))
_LOCKED: Final = (
    select(blobs)
    .where(blobs.c.digest.in_(bindparam("digests", expanding=True)))
    # Everybody takes locks in the order of the digests, so that nobody waits in a circle.
    .order_by(blobs.c.digest)
    .with_for_update()
)
_STORE: Final = (
    update(blobs)
    .where(blobs.c.digest == bindparam("of_digest"))
    .values(state=STORED, size=bindparam("new_size"), key=bindparam("new_key"), unused_since=None)
)
_IN_USE: Final = update(blobs).where(blobs.c.digest == bindparam("of_digest")).values(unused_since=None)
_OWN: Final = upsert(tenant_blobs).on_conflict_do_nothing()
_SERVED: Final = (
    select(bundles.c.number, bundles.c.reserved, bundle_files.c.digest)
    .join(bundle_files, bundle_files.c.bundle == bundles.c.number)
    .where(
        bindparam("of_tenant") == TENANT_OF_BUNDLE,
        BUNDLE_IS_OPEN,
        bundle_files.c.digest.in_(bindparam("digests", expanding=True)),
    )
    .order_by(bundles.c.number)
    .with_for_update(of=bundles)
)
_ARRIVED: Final = (
    update(bundles)
    .where(bundles.c.number == bindparam("of_bundle"))
    .values(reserved=bundles.c.reserved - bindparam("released"), last_activity_at=bindparam("now"))
)
_COUNT: Final = (
    update(tenants)
    .where(tenants.c.id == bindparam("of_tenant"))
    .values(
        blobs=tenants.c.blobs + bindparam("count"),
        blob_size=tenants.c.blob_size + bindparam("arrived"),
        reserved=tenants.c.reserved - bindparam("released"),
    )
)


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


Arrivals = Sequence[Arrival]
"""At least one upload, all of one tenant and with different digests."""


def begin_uploads(connection: Connection, arrivals: Arrivals) -> None:
    """Remember that bytes are about to come."""
    tenant_id = _tenant_id(connection, arrivals)
    rows = [
        {
            "id": str(arrival.upload),
            "tenant_id": tenant_id,
            "digest": str(arrival.digest),
            "key": str(arrival.key),
            "started_at": micros(arrival.now),
        }
        for arrival in arrivals
    ]
    connection.execute(_BEGIN, rows)


def store_blobs(connection: Connection, items: Sequence[Arrivals]) -> list[frozenset[UploadId]]:
    """Do what `name_blobs` does for each item, and end the uploads that it returns: an operation.

    The rows of other uploads stay until `end_upload`.
    """
    if len(items) > 1:
        # What one item locks may be what another one needs: all of it is locked in order, and before any tenant is.
        _locked(connection, [arrival.digest for arrivals in items for arrival in arrivals])
    by_tenant = sorted(range(len(items)), key=lambda position: str(items[position][0].tenant))
    kept = {position: name_blobs(connection, items[position]) for position in by_tenant}
    ended = [{"upload": str(upload)} for uploads_kept in kept.values() for upload in uploads_kept]
    if ended:
        connection.execute(_END, ended)
    return [kept[position] for position in range(len(items))]


def name_blobs(connection: Connection, arrivals: Arrivals) -> frozenset[UploadId]:
    """Make the bytes under the keys of `arrivals` blobs of their tenant; they are verified and durable.

    Returns:
        The uploads whose keys rows name now.  Of others the same bytes were stored already, and theirs are to be
        removed.

    Raises:
        BlobNotWanted: nobody wants one of them any more; the bytes of all are to be removed.
    """
    asked = BlobsOf(arrivals[0].tenant, [arrival.digest for arrival in arrivals])
    rows = _locked(connection, asked.digests)
    wishes = find_wishes(connection, asked)
    for arrival in arrivals:
        _require_wanted(arrival, wishes[arrival.digest], known=arrival.digest in rows)
    kept = [arrival for arrival in arrivals if rows[arrival.digest].state != STORED]
    _store(connection, kept)
    in_use = [row for row in rows.values() if row.state == STORED and row.unused_since is not None]
    if in_use:
        connection.execute(_IN_USE, [{"of_digest": row.digest} for row in in_use])
    _give(connection, [arrival for arrival in arrivals if wishes[arrival.digest].held is None])
    uploads_kept = frozenset(arrival.upload for arrival in kept)
    append(connection, [_entry(arrival, kept=arrival.upload in uploads_kept) for arrival in arrivals])
    return uploads_kept


def end_upload(connection: Connection, upload: UploadId) -> None:
    """Forget an upload whose bytes are gone."""
    connection.execute(_END, {"upload": str(upload)})


def is_named(connection: Connection, key: BlobKey) -> bool:
    """Tell whether a blob's row names `key`.

    Ask by a write, not by a read: then no earlier write is still under way.
    """
    row = _locked(connection, (key.digest,)).get(key.digest)
    return row is not None and bool(row.key == key)


def _locked(connection: Connection, digests: Sequence[Digest]) -> dict[str, AnyRow]:
    rows = connection.execute(_LOCKED, {"digests": [str(digest) for digest in digests]})
    return {row.digest: row for row in rows}


def _require_wanted(arrival: Arrival, wish: Wish, *, known: bool) -> None:
    if not known or (wish.held is None and arrival.size not in wish.wanted):
        msg = f"the bundle that wanted {arrival.digest} has ended"
        raise BlobNotWanted(msg)


def _store(connection: Connection, arrivals: Arrivals) -> None:
    if arrivals:
        rows = [
            {"of_digest": str(arrival.digest), "new_size": arrival.size, "new_key": str(arrival.key)}
            for arrival in arrivals
        ]
        connection.execute(_STORE, rows)


def _give(connection: Connection, arrivals: Arrivals) -> None:
    if not arrivals:
        return
    tenant_id, now = _tenant_id(connection, arrivals), micros(arrivals[0].now)
    owned = [{"tenant_id": tenant_id, "digest": str(arrival.digest), "last_used": now} for arrival in arrivals]
    connection.execute(_OWN, owned)
    released = _released(connection, arrivals, tenant_id=tenant_id)
    if released:
        served = [{"of_bundle": bundle, "released": size, "now": now} for bundle, size in released.items()]
        connection.execute(_ARRIVED, served)
    of_tenant = {"count": len(arrivals), "arrived": sum(arrival.size for arrival in arrivals)}
    connection.execute(_COUNT, {**of_tenant, "of_tenant": tenant_id, "released": sum(released.values())})


def _released(connection: Connection, arrivals: Arrivals, *, tenant_id: int) -> dict[int, int]:
    """Return the bytes that each open bundle with one of the digests need not reserve any more.

    Each of them reserved the bytes of a digest once, because the tenant did not hold it until now.
    """
    sizes = {str(arrival.digest): arrival.size for arrival in arrivals}
    wanted: dict[tuple[int, int], set[str]] = defaultdict(set)
    for row in connection.execute(_SERVED, {"of_tenant": tenant_id, "digests": list(sizes)}):
        wanted[row.number, row.reserved].add(row.digest)
    released: dict[int, int] = {}
    for (bundle, reserved), digests in wanted.items():
        left = reserved
        for digest in digests:
            left -= sizes[digest] if sizes[digest] <= left else 0
        released[bundle] = reserved - left
    return released


def _tenant_id(connection: Connection, arrivals: Arrivals) -> int:
    found = connection.execute(TENANT_ID, tenant_parameters(arrivals[0].tenant)).scalar_one()
    return int(found)


def _entry(arrival: Arrival, *, kept: bool) -> Entry:
    return Entry(
        at=arrival.now,
        action="blob.store",
        caller=arrival.caller,
        namespace=arrival.tenant.namespace,
        subject=arrival.digest,
        detail=f"{arrival.size} bytes" if kept else f"{arrival.size} bytes, already stored",
    )
