"""Creating bundles, many at a time: the hottest change, so its cost is counted in statements for the whole group.

The order matters.  Stored blobs are read with a shared lock: a sweep that wants to delete one waits for us, or has
marked it `deleting`, and then it is wanted again.  Next come the rows that name the digests; from then on the foreign
key keeps the blobs.  The quota comes last, because making room under it must not touch what was just named.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from staging_protocol.api import BundleState, NewFile
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, IdempotencyMismatch
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_server.audit import Entry, append
from staging_server.metadata.numbers import next_number
from staging_server.metadata.quota import Demand, reserve
from staging_server.metadata.rows import OF_TENANT, AnyRow, BundleAt, lock_bundle, tenant_parameters
from staging_server.metadata.tables import (
    STORED,
    WANTED,
    blobs,
    bundle_files,
    bundles,
    idempotency_keys,
    tenant_blobs,
    tenants,
)
from staging_server.tenants import Caller, Tenant
from staging_server.times import maybe_micros, micros

_IN: Final = 500
"""Digests in one `IN`: far below the limits of both databases (32,766 and 32,767 parameters)."""

_USE_AGAIN: Final = 3600 * 1_000_000
"""Microseconds: a blob's last use is written at most once an hour, since it is kept for days."""

# PostgreSQL's construct, because SQLite took over its ON CONFLICT and SQLAlchemy compiles it for both.
_TENANT: Final = upsert(tenants).on_conflict_do_nothing()
_FIND_TENANT: Final = select(tenants.c.id).where(OF_TENANT)
_BLOB: Final = upsert(blobs).on_conflict_do_nothing()
_BUNDLE: Final = insert(bundles)
_FILE: Final = insert(bundle_files)
_KEY: Final = insert(idempotency_keys)
_FIND_KEYS: Final = select(idempotency_keys).where(idempotency_keys.c.scope.in_(bindparam("scopes", expanding=True)))
_HELD: Final = (
    select(blobs.c.digest, blobs.c.size, tenant_blobs.c.last_used)
    .join(tenant_blobs, tenant_blobs.c.digest == blobs.c.digest)
    .where(
        tenant_blobs.c.tenant_id == bindparam("tenant_id"),
        blobs.c.digest.in_(bindparam("digests", expanding=True)),
        blobs.c.state == STORED,
    )
    .order_by(blobs.c.digest)
    # KEY SHARE, as the foreign key takes it: it waits for those who delete, and for nobody else.
    .with_for_update(read=True, key_share=True, of=(blobs, tenant_blobs))
)
_USED: Final = (
    update(tenant_blobs)
    .where(tenant_blobs.c.tenant_id == bindparam("of_tenant"), tenant_blobs.c.digest == bindparam("of_digest"))
    .values(last_used=bindparam("now"))
)
_NEW_TOKEN: Final = (
    update(bundles)
    .where(bundles.c.number == bindparam("of_bundle"))
    .values(
        token_hash=bindparam("new_hash"),
        token_used=False,
        old_token_hash=bindparam("old_hash"),
        old_token_until=None,
    )
)
_TOKEN_OF: Final = select(bundles.c.token_hash, bundles.c.token_used).where(bundles.c.number == bindparam("of_bundle"))


Held = dict[Digest, tuple[int, int]]
"""Size and last use of the blobs that a tenant has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBundleRow:
    """A bundle to be made, checked and with everything computed that needs no database.

    `scope` and `body_hash` are of the idempotency key; `quota` is in bytes.
    """

    id: BundleId
    tenant: Tenant
    caller: Caller
    now: datetime
    next_check: datetime | None
    application: str
    files: tuple[NewFile, ...]
    size: int
    time_to_live: int | None
    owner: str | None
    token: Token
    manifest: bytes
    manifest_digest: Digest
    scope: str | None
    body_hash: str
    max_bundles: int
    quota: int | None


class _Fresh:
    """A bundle on its way into the tables: what was asked for, and what the tenant's blobs make of it.

    `reserved` is in bytes; a digest counts once.
    """

    __slots__ = ("item", "number", "reserved", "tenant_id", "wanted")

    def __init__(self, item: NewBundleRow, *, tenant_id: int, held: Held) -> None:
        missing = {file.digest: file.size for file in item.files if not _is_held(file, held)}
        self.item = item
        self.number = next_number(micros(item.now))
        self.tenant_id = tenant_id
        self.wanted = frozenset(missing)
        self.reserved = sum(missing.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A bundle that was made now, or by an earlier request with the same key; then it has a new token.

    `wanted` are the digests whose bytes the server needs; `row` is the bundle's of an earlier request.
    """

    id: BundleId
    token: Token
    sealed: bool
    wanted: frozenset[Digest]
    row: AnyRow | None = None


def create_bundles(connection: Connection, items: Sequence[NewBundleRow]) -> list[Created]:
    """Make bundles, or recognise that they were made: an operation.

    Raises:
        IdempotencyMismatch: the key was used with another body.
        BundleExpired: the key's bundle has ended.
        DigestMismatch: the tenant has a blob of that digest, but with another size.
        QuotaExceeded: the tenant has too many bundles or bytes.
    """
    seen = _find_keys(connection, items)
    tenant_ids = {tenant: _tenant_id(connection, tenant) for tenant in sorted({i.tenant for i in items}, key=str)}
    held = _find_held(connection, items, tenant_ids)
    fresh = {
        position: _Fresh(item, tenant_id=tenant_ids[item.tenant], held=held[tenant_ids[item.tenant]])
        for position, item in enumerate(items)
        if item.scope not in seen
    }
    if fresh:
        _insert(connection, list(fresh.values()))
        _note_use(connection, fresh.values(), held)
        reserve(connection, [_demand(new) for new in fresh.values()])
    return [
        _created(fresh[position])
        if position in fresh
        else _replay(connection, item, seen[str(item.scope)], held[tenant_ids[item.tenant]])
        for position, item in enumerate(items)
    ]


def _find_keys(connection: Connection, items: Sequence[NewBundleRow]) -> dict[str | None, AnyRow]:
    scopes = [item.scope for item in items if item.scope is not None]
    if not scopes:
        return {}
    return {row.scope: row for row in connection.execute(_FIND_KEYS, {"scopes": scopes})}


def _tenant_id(connection: Connection, tenant: Tenant) -> int:
    found = connection.execute(_FIND_TENANT, tenant_parameters(tenant)).scalar()
    if found is None:
        connection.execute(_TENANT, tenant_parameters(tenant))
        found = connection.execute(_FIND_TENANT, tenant_parameters(tenant)).scalar_one()
    return int(found)


def _find_held(connection: Connection, items: Sequence[NewBundleRow], ids: dict[Tenant, int]) -> dict[int, Held]:
    digests: dict[int, set[Digest]] = {tenant_id: set() for tenant_id in ids.values()}
    for item in items:
        digests[ids[item.tenant]].update(file.digest for file in item.files)
    return {
        tenant_id: {
            row.digest: (row.size, row.last_used)
            # Everybody takes locks in the order of the digests, so that nobody waits in a circle.
            for some in _slices(sorted(wanted))
            for row in connection.execute(_HELD, {"tenant_id": tenant_id, "digests": some})
        }
        for tenant_id, wanted in digests.items()
    }


def _is_held(file: NewFile, held: Held) -> bool:
    known = held.get(file.digest)
    if known is not None and known[0] != file.size:
        msg = f"{file.name} cannot have {file.size} bytes: the blob {file.digest} has {known[0]}"
        raise DigestMismatch(msg)
    return known is not None


def _insert(connection: Connection, fresh: Sequence[_Fresh]) -> None:
    wanted = sorted(frozenset[Digest]().union(*(new.wanted for new in fresh)))
    if wanted:
        connection.execute(_BLOB, [{"digest": str(digest), "state": WANTED} for digest in wanted])
    connection.execute(_BUNDLE, [_bundle_row(new) for new in fresh])
    files = [row for new in fresh for row in _file_rows(new)]
    if files:
        connection.execute(_FILE, files)
    keys = [_key_row(new.item) for new in fresh if new.item.scope is not None]
    if keys:
        connection.execute(_KEY, keys)
    append(connection, [_entry(new) for new in fresh])


def _bundle_row(new: _Fresh) -> dict[str, object]:
    item, now = new.item, micros(new.item.now)
    return {
        "number": new.number,
        "id": str(item.id),
        "tenant_id": new.tenant_id,
        "application": item.application,
        "state": (BundleState.OPEN if new.wanted else BundleState.SEALED).value,
        "created_at": now,
        "created_by": item.caller.name[:253],
        "last_activity_at": now,
        "next_check": maybe_micros(item.next_check),
        "time_to_live": item.time_to_live,
        "owner": item.owner,
        "files": len(item.files),
        "size": item.size,
        "reserved": new.reserved,
        "token_hash": item.token.hash,
        "token_used": False,
        "manifest_digest": str(item.manifest_digest),
        "manifest": item.manifest,
    }


def _file_rows(new: _Fresh) -> Iterator[dict[str, object]]:
    for file in new.item.files:
        yield {
            "bundle": new.number,
            "kind": file.kind.value,
            "name": str(file.name),
            "digest": str(file.digest),
            "size": file.size,
        }


def _key_row(item: NewBundleRow) -> dict[str, object]:
    return {
        "scope": item.scope,
        "body_hash": item.body_hash,
        "bundle_id": str(item.id),
        "created_at": micros(item.now),
    }


def _entry(new: _Fresh) -> Entry:
    item = new.item
    return Entry(
        at=item.now,
        action="bundle.create",
        caller=item.caller,
        namespace=item.tenant.namespace,
        subject=item.id,
        detail=f"{len(item.files)} files, {item.size} bytes, {new.reserved} wanted",
    )


def _note_use(connection: Connection, fresh: Iterable[_Fresh], held: dict[int, Held]) -> None:
    used: dict[tuple[int, Digest], int] = {}
    for new in fresh:
        now = micros(new.item.now)
        for file in new.item.files:
            last = held[new.tenant_id].get(file.digest)
            if last is not None and last[1] < now - _USE_AGAIN:
                used[new.tenant_id, file.digest] = now
    if used:
        connection.execute(
            _USED,
            [{"of_tenant": tenant, "of_digest": str(digest), "now": now} for (tenant, digest), now in used.items()],
        )


def _demand(new: _Fresh) -> Demand:
    item = new.item
    return Demand(
        tenant_id=new.tenant_id,
        size=item.size,
        reserved=new.reserved,
        max_bundles=item.max_bundles,
        quota=item.quota,
        now=item.now,
    )


def _created(new: _Fresh) -> Created:
    return Created(id=new.item.id, token=new.item.token, sealed=not new.wanted, wanted=new.wanted)


def _replay(connection: Connection, item: NewBundleRow, key: AnyRow, held: Held) -> Created:
    if key.body_hash != item.body_hash:
        raise IdempotencyMismatch("this Idempotency-Key was used within the last day, with another body")
    bundle_id = BundleId(key.bundle_id)
    row = lock_bundle(connection, BundleAt(item.tenant, bundle_id))
    first = connection.execute(_TOKEN_OF, {"of_bundle": row.number}).one()
    # An unused token is void from now on: its answer was lost.  A used one has reached somebody and stays.
    old = first.token_hash if first.token_used else None
    token = Token.generate(TokenKind.BUNDLE, identifier=bundle_id)
    connection.execute(_NEW_TOKEN, {"of_bundle": row.number, "new_hash": token.hash, "old_hash": old})
    entry = Entry(
        at=item.now,
        action="bundle.create-again",
        caller=item.caller,
        namespace=item.tenant.namespace,
        subject=bundle_id,
    )
    append(connection, [entry])
    return Created(
        id=bundle_id,
        token=token,
        sealed=row.state == BundleState.SEALED,
        wanted=frozenset(file.digest for file in item.files if file.digest not in held),
        row=row,
    )


def _slices(digests: Sequence[Digest]) -> Iterable[list[str]]:
    for start in range(0, len(digests), _IN):
        yield [str(digest) for digest in digests[start : start + _IN]]
