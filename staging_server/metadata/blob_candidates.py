"""Blobs that a sweep may have to do something about, and why they go: queries."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, bindparam, exists, func, select

from staging_protocol.digests import Digest
from staging_server.blobs.base import BlobKey
from staging_server.metadata.partial_indexes import BLOB_IS_NOT_STORED
from staging_server.metadata.rows import AnyRow
from staging_server.metadata.tables import DELETING, STORED, WANTED, blobs, bundle_files, tenant_blobs, tenants
from staging_server.times import clock_text, maybe_moment, micros, moment_of

_PAST_KEEP: Final = (
    select(tenant_blobs.c.tenant_id, tenant_blobs.c.digest, tenant_blobs.c.last_used)
    .where(tenant_blobs.c.tenant_id == bindparam("of_tenant"), tenant_blobs.c.last_used <= bindparam("unused_until"))
    .order_by(tenant_blobs.c.last_used)
    .limit(bindparam("at_most"))
)
_LONGEST_UNUSED: Final = select(
    tenants.c.id,
    tenants.c.namespace,
    select(func.min(tenant_blobs.c.last_used)).where(tenant_blobs.c.tenant_id == tenants.c.id).scalar_subquery(),
)

_DOOMED: Final = (blobs.c.digest, blobs.c.size, blobs.c.key, blobs.c.unused_since, blobs.c.given_up)
_DUE: Final = (
    select(*_DOOMED)
    .where(blobs.c.unused_since < bindparam("unused_until"), blobs.c.state == STORED)
    .order_by(blobs.c.unused_since)
    .limit(bindparam("at_most"))
)
_INTERRUPTED: Final = select(*_DOOMED).where(BLOB_IS_NOT_STORED, blobs.c.state == DELETING).limit(bindparam("at_most"))
_NEVER_CAME: Final = (
    select(blobs.c.digest)
    .where(BLOB_IS_NOT_STORED, blobs.c.state == WANTED, ~exists().where(bundle_files.c.digest == blobs.c.digest))
    .limit(bindparam("at_most"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """What was last used by a tenant, or given up by all (None), at `until` or before is due."""

    until: datetime
    at_most: int = 500
    tenant_id: int | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """For the statements that look for what is due."""
        return {"unused_until": micros(self.until), "at_most": self.at_most, "of_tenant": self.tenant_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestUnused:
    """When a tenant last used the blob that it has not used for the longest time."""

    tenant_id: int
    namespace: str
    last_used: datetime


class Why(StrEnum):
    """Why the last tenant gave a blob up."""

    KEEP = "keep"  # it was unused for as long as the policy keeps it
    QUOTA = "quota"  # the namespace needed room


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A blob whose bytes go.

    `since` is when its last tenant gave it up, and `why`; None where that is not known any more.
    """

    digest: Digest
    size: int
    key: BlobKey
    since: datetime | None = None
    why: Why | None = None

    @property
    def reason(self) -> str:
        """Why it goes, in words."""
        since = "" if self.since is None else f" since {clock_text(self.since)}"
        match self.why:
            case Why.KEEP:
                return f"no namespace keeps it{since}: unused for as long as its last one keeps blobs"
            case Why.QUOTA:
                return f"no namespace keeps it{since}: its last one needed room under its quota"
            case None:
                return f"no namespace keeps it{since}"


def find_longest_unused(connection: Connection, _nothing: None) -> list[LongestUnused]:
    """Return for each tenant that has blobs what it has not used for the longest time: a query."""
    return [
        LongestUnused(tenant_id=number, namespace=namespace, last_used=moment_of(last_used))
        for number, namespace, last_used in connection.execute(_LONGEST_UNUSED)
        if last_used is not None
    ]


def find_past_keep(connection: Connection, deadline: Deadline) -> list[tuple[int, Digest]]:
    """Return claims of a tenant that may be over, oldest first: a query."""
    return [(row.tenant_id, Digest(row.digest)) for row in connection.execute(_PAST_KEEP, deadline.parameters)]


def find_due(connection: Connection, deadline: Deadline) -> list[Doomed]:
    """Return blobs without tenants whose grace is over: a query."""
    return [_doomed(row) for row in connection.execute(_DUE, deadline.parameters)]


def find_interrupted(connection: Connection, at_most: int) -> list[Doomed]:
    """Return blobs that a sweep had marked as `deleting` when it was cut short: a query."""
    return [_doomed(row) for row in connection.execute(_INTERRUPTED, {"at_most": at_most})]


def find_never_came(connection: Connection, at_most: int) -> list[Digest]:
    """Return digests that no bundle wants any more and whose bytes never came: a query."""
    return [Digest(row.digest) for row in connection.execute(_NEVER_CAME, {"at_most": at_most})]


def _doomed(row: AnyRow) -> Doomed:
    why = None if row.given_up is None else Why(row.given_up)
    return Doomed(
        digest=Digest(row.digest), size=row.size, key=BlobKey(row.key), since=maybe_moment(row.unused_since), why=why
    )
