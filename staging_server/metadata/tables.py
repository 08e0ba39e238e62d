"""The tables.

    tenants ──< bundles ──< bundle_files >── blobs >── tenant_blobs >── tenants
                        ──< pins, reports, sightings
    uploads, tombstones, idempotency_keys, audit, leases, marks      stand alone

A `blobs` row exists from the moment when a bundle names a digest, so that `bundle_files.digest` can always be a foreign
key; its `state` says what that means:

    wanted     named, but no verified bytes: `key` and `size` are NULL (a size that a submitter states proves nothing)
    stored     the bytes lie under `key`
    deleting   a sweep removes the bytes; answered as wanted, and an upload may make it `stored` again under a new key

An `uploads` row stands for bytes on their way.  That of a whole blob lives as long as its request; an upload that comes
in parts has a `state`, and all the columns behind it:

    open       more may come; `epoch` grows with each request that writes, and only the newest may change anything
    complete   the blob is stored; the row is kept so that a client whose answer was lost learns it
    ended      cancelled, expired or wrong: gone for everybody, and its bytes are being removed

`tenant_blobs` says who may use a stored blob without bringing the bytes.  A `sightings` row is what Kubernetes has
shown of a bundle's owner and pods (`history`); it is `claimed` while one of them was seen and has not ended.  `marks`
is what the sweeper remembers of its own work.  Times are microseconds UTC (`times`).
Numbers of bundles, reports and audit rows are made by `numbers` and grow with time, so they are the order of lists and
the cursor of pages.  All names of constraints are fixed, so that migrations can speak of them.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

WANTED: Final = "wanted"
STORED: Final = "stored"
DELETING: Final = "deleting"

OPEN: Final = "open"
COMPLETE: Final = "complete"
ENDED: Final = "ended"

schema = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# SQLite makes only an INTEGER PRIMARY KEY the key of the table itself; a BIGINT one would be a second index.
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")


def _number() -> Column[int]:
    return Column("number", _NUMBER, primary_key=True, autoincrement=False)


def _bundle(*, primary_key: bool) -> Column[int]:
    reference = ForeignKey("bundles.number", ondelete="CASCADE")
    return Column("bundle", BigInteger, reference, primary_key=primary_key, nullable=False, autoincrement=False)


def _tenant(*, primary_key: bool = False) -> Column[int]:
    return Column(
        "tenant_id", Integer, ForeignKey("tenants.id"), primary_key=primary_key, nullable=False, autoincrement=False
    )


def _digest(*, primary_key: bool = False) -> Column[str]:
    return Column("digest", String(71), ForeignKey("blobs.digest"), primary_key=primary_key, nullable=False)


def _time(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _size(name: str = "size", *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


tenants = Table(
    "tenants",
    schema,
    Column("id", Integer, primary_key=True),
    Column("cluster", String(253), nullable=False),
    Column("namespace", String(253), nullable=False),
    Column("uid", String(64), nullable=False),
    # Kept with every change and reconciled by the sweep, so that limits and usage cost one row.
    _count("bundles"),
    _count("bundle_size"),
    _count("blobs"),
    _count("blob_size"),
    _count("reserved"),
    UniqueConstraint("cluster", "namespace", "uid"),
)

blobs = Table(
    "blobs",
    schema,
    Column("digest", String(71), primary_key=True),
    Column("state", String(8), nullable=False),
    _size(nullable=True),
    Column("key", String(160), nullable=True),
    _time("unused_since", nullable=True),
    # Why the last tenant gave it up.
    Column("given_up", String(8), nullable=True),
    sqlite_with_rowid=False,
)
Index(
    "ix_blobs_unused_since",
    blobs.c.unused_since,
    sqlite_where=blobs.c.unused_since.is_not(None),
    postgresql_where=blobs.c.unused_since.is_not(None),
)
Index(
    "ix_blobs_state",
    blobs.c.state,
    sqlite_where=blobs.c.state != text("'stored'"),
    postgresql_where=blobs.c.state != text("'stored'"),
)

bundles = Table(
    "bundles",
    schema,
    _number(),
    Column("id", String(26), nullable=False, unique=True),
    _tenant(),
    Column("application", String(253), nullable=False, index=True),
    Column("state", String(6), nullable=False),
    _time("created_at"),
    Column("created_by", String(253), nullable=False),
    _time("last_activity_at"),
    _time("next_check", nullable=True),
    _time("time_to_live", nullable=True),
    _time("lease_until", nullable=True),
    Column("owner", Text, nullable=True),
    Column("files", Integer, nullable=False),
    _size(),
    _size("reserved"),
    Column("token_hash", String(64), nullable=False),
    Column("token_used", Boolean, nullable=False),
    Column("old_token_hash", String(64), nullable=True),
    _time("old_token_until", nullable=True),
    Column("manifest_digest", String(71), nullable=False),
    # Last, so that SQLite need not read the pages of a large one for the columns before it.
    Column("manifest", LargeBinary, nullable=False),
)
Index("ix_bundles_tenant_id_number", bundles.c.tenant_id, bundles.c.number)
Index(
    "ix_bundles_next_check",
    bundles.c.next_check,
    sqlite_where=bundles.c.next_check.is_not(None),
    postgresql_where=bundles.c.next_check.is_not(None),
)
Index(
    "ix_bundles_lease_until",
    bundles.c.lease_until,
    sqlite_where=bundles.c.lease_until.is_not(None),
    postgresql_where=bundles.c.lease_until.is_not(None),
)
Index(
    "ix_bundles_open",
    bundles.c.number,
    sqlite_where=bundles.c.state == text("'open'"),
    postgresql_where=bundles.c.state == text("'open'"),
)

bundle_files = Table(
    "bundle_files",
    schema,
    _bundle(primary_key=True),
    Column("kind", String(7), primary_key=True),
    Column("name", String(255), primary_key=True),
    _digest(),
    _size(),
    Index("ix_bundle_files_digest", "digest"),
    sqlite_with_rowid=False,
)

tenant_blobs = Table(
    "tenant_blobs",
    schema,
    _tenant(primary_key=True),
    _digest(primary_key=True),
    _time("last_used"),
    Index("ix_tenant_blobs_digest", "digest"),
    Index("ix_tenant_blobs_tenant_id_last_used", "tenant_id", "last_used"),
    sqlite_with_rowid=False,
)

pins = Table(
    "pins",
    schema,
    _bundle(primary_key=True),
    Column("reason", Text, nullable=False),
    _time("until", nullable=True),
)

sightings = Table(
    "sightings",
    schema,
    _bundle(primary_key=True),
    Column("claimed", Boolean, nullable=False),
    Column("owner_key", String(400), nullable=True),
    Column("owner_uid", String(64), nullable=True),
    *(
        _time(f"{what}_{when}", nullable=True)
        for what in ("owner", "pods")
        for when in ("first_seen", "last_seen", "absent_since", "ended_at")
    ),
    Index("ix_sightings_owner_key", "owner_key"),
)
Index(
    "ix_sightings_claimed",
    sightings.c.bundle,
    sqlite_where=text("claimed"),
    postgresql_where=text("claimed"),
)

reports = Table(
    "reports",
    schema,
    _number(),
    _bundle(primary_key=False),
    _time("received_at"),
    Column("body", LargeBinary, nullable=False),
    Index("ix_reports_bundle_number", "bundle", "number"),
)

uploads = Table(
    "uploads",
    schema,
    Column("id", String(26), primary_key=True),
    _tenant(),
    Column("digest", String(71), nullable=False),
    Column("key", String(160), nullable=False),
    _time("started_at"),
    Column("state", String(8), nullable=True),
    _size(nullable=True),
    # Bytes that came, as of the last look: for the quota, not for the offset.
    _size("arrived", nullable=True),
    Column("created_by", String(253), nullable=True),
    Column("epoch", BigInteger, nullable=True),
    _time("last_activity_at", nullable=True),
    Index("ix_uploads_started_at", "started_at"),
)
Index(
    "ix_uploads_last_activity_at",
    uploads.c.last_activity_at,
    sqlite_where=uploads.c.last_activity_at.is_not(None),
    postgresql_where=uploads.c.last_activity_at.is_not(None),
)
Index(
    "ix_uploads_open",
    uploads.c.tenant_id,
    sqlite_where=uploads.c.state == text("'open'"),
    postgresql_where=uploads.c.state == text("'open'"),
)
Index(
    "ix_uploads_ended",
    uploads.c.id,
    sqlite_where=uploads.c.state == text("'ended'"),
    postgresql_where=uploads.c.state == text("'ended'"),
)

tombstones = Table(
    "tombstones",
    schema,
    Column("id", String(26), primary_key=True),
    _tenant(),
    Column("token_hash", String(64), nullable=False),
    Column("old_token_hash", String(64), nullable=True),
    _time("old_token_until", nullable=True),
    _time("ended_at"),
    Column("reason", Text, nullable=False),
    Index("ix_tombstones_ended_at", "ended_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    schema,
    Column("scope", String(64), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("bundle_id", String(26), nullable=False),
    _time("created_at"),
    Index("ix_idempotency_keys_created_at", "created_at"),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    schema,
    _number(),
    _time("at"),
    Column("action", String(40), nullable=False),
    Column("caller", String(253), nullable=False),
    Column("address", String(64), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("namespace", String(253), nullable=True),
    Column("subject", String(80), nullable=True),
    Column("result", String(40), nullable=False),
    Column("detail", Text, nullable=True),
    Index("ix_audit_at", "at"),
)

leases = Table(
    "leases",
    schema,
    Column("name", String(40), primary_key=True),
    Column("holder", String(64), nullable=False),
    _time("until"),
)

marks = Table(
    "marks",
    schema,
    Column("name", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)
