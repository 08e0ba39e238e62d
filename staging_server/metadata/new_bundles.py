"""Bundles on their way into the tables: what is asked for, what becomes of it, and its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert
from sqlalchemy.dialects.postgresql import insert as upsert

from staging_protocol.api.bundles import BundleState
from staging_protocol.api.creation import NewFile
from staging_protocol.counted import counted
from staging_protocol.digests import Digest
from staging_protocol.tokens import BundleId, Token
from staging_server.audit import Entry, append
from staging_server.metadata.holdings import Held, is_held
from staging_server.metadata.numbers import next_number
from staging_server.metadata.rows import AnyRow
from staging_server.metadata.tables import WANTED, blobs, bundle_files, bundles, idempotency_keys, sightings
from staging_server.tenants import Caller, Tenant
from staging_server.times import maybe_micros, micros

# PostgreSQL's construct, because SQLite took over its ON CONFLICT and SQLAlchemy compiles it for both.
_BLOB: Final = upsert(blobs).on_conflict_do_nothing()
_BUNDLE: Final = insert(bundles)
_FILE: Final = insert(bundle_files)
_KEY: Final = insert(idempotency_keys)
_SIGHTING: Final = insert(sightings)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBundleRow:
    """A bundle to be made, checked and with everything computed that needs no database.

    `scope` and `body_hash` are of the idempotency key; `quota` is in bytes; `owner_key` is of `lives.owner_key`.
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
    owner_key: str | None
    token: Token
    manifest: bytes
    manifest_digest: Digest
    scope: str | None
    body_hash: str
    max_bundles: int
    quota: int | None


class Fresh:
    """A bundle that is new: what was asked for, and what the tenant's blobs make of it.

    `reserved` is in bytes; a digest counts once.
    """

    __slots__ = ("item", "number", "reserved", "tenant_id", "wanted")

    def __init__(self, item: NewBundleRow, *, tenant_id: int, held: Held) -> None:
        missing = {file.digest: file.size for file in item.files if not is_held(file, held)}
        self.item = item
        self.number = next_number(micros(item.now))
        self.tenant_id = tenant_id
        self.wanted = frozenset(missing)
        self.reserved = sum(missing.values())

    def uses(self) -> Iterator[tuple[int, Digest, int]]:
        """Return which blobs it uses, each with the tenant and the time."""
        now = micros(self.item.now)
        return ((self.tenant_id, file.digest, now) for file in self.item.files)


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


def insert_bundles(connection: Connection, fresh: Sequence[Fresh]) -> None:
    """Write the rows of new bundles, of all of them together: first those that name the digests."""
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
    owned = [
        {"bundle": new.number, "claimed": False, "owner_key": new.item.owner_key}
        for new in fresh
        if new.item.owner_key is not None
    ]
    if owned:
        connection.execute(_SIGHTING, owned)
    append(connection, [_entry(new) for new in fresh])


def _bundle_row(new: Fresh) -> dict[str, object]:
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


def _file_rows(new: Fresh) -> Iterator[dict[str, object]]:
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


def _entry(new: Fresh) -> Entry:
    item = new.item
    return Entry(
        at=item.now,
        action="bundle.create",
        caller=item.caller,
        namespace=item.tenant.namespace,
        subject=item.id,
        detail=f"{counted(len(item.files), 'file')}, {counted(item.size, 'byte')}, {new.reserved} wanted",
    )
