"""Uploads that come in parts: who may write one, how far it came, and how it ends.

Every request that writes, or wants to know the offset, takes the upload over in one transaction (`take`), which makes
its epoch one greater.  Whatever a request does to the row later holds its epoch against the row's: so the one that was
taken over from changes nothing any more, in whichever process it runs.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from staging_protocol.digests import Digest
from staging_protocol.errors import NotFound, TooManyRequests, UploadSuperseded
from staging_protocol.uploads import UploadId
from staging_server.audit import Entry, append
from staging_server.blobs.base import BlobKey
from staging_server.metadata.arrivals import TENANT_ID, Arrival, name_blobs
from staging_server.metadata.partial_indexes import UPLOAD_IS_OPEN
from staging_server.metadata.rows import OF_TENANT, tenant_parameters
from staging_server.metadata.tables import COMPLETE, ENDED, OPEN, tenants, uploads
from staging_server.metadata.unclaimed import end_oldest
from staging_server.metadata.wishes import find_wish
from staging_server.tenants import Caller, Tenant
from staging_server.times import micros

_RETRY_AFTER: Final = 60
"""Seconds: the uploads that are open end when their clients finish them, or with the next sweep."""

_INSERT: Final = insert(uploads)
_OPEN_OF_TENANT: Final = (
    select(func.count()).select_from(uploads).where(uploads.c.tenant_id == bindparam("of_tenant"), UPLOAD_IS_OPEN)
)
LOCKED: Final = (
    select(uploads)
    .join(tenants, tenants.c.id == uploads.c.tenant_id)
    .where(uploads.c.id == bindparam("upload"), uploads.c.state.in_((OPEN, COMPLETE)), OF_TENANT)
    .with_for_update(of=uploads)
)
_CHANGE: Final = update(uploads).where(uploads.c.id == bindparam("upload"))
_TAKE: Final = _CHANGE.values(epoch=uploads.c.epoch + 1, last_activity_at=bindparam("now"))
_OWN: Final = _CHANGE.where(uploads.c.epoch == bindparam("of_epoch"), uploads.c.state == OPEN)
_NOTE: Final = _OWN.values(arrived=bindparam("so_far"), last_activity_at=bindparam("now"))
_COMPLETE: Final = _OWN.values(state=COMPLETE, arrived=uploads.c.size, last_activity_at=bindparam("now"))
_FAIL: Final = _OWN.values(state=ENDED)
SET_STATE: Final = _CHANGE.values(state=bindparam("new_state"))
_EPOCH: Final = select(uploads.c.epoch).where(uploads.c.id == bindparam("upload"), uploads.c.state != ENDED)
_STANDING: Final = select(func.count(), func.coalesce(func.sum(uploads.c.arrived), 0)).where(UPLOAD_IS_OPEN)


@dataclass(frozen=True, slots=True)
class UploadAt:
    """An upload as a path names it."""

    tenant: Tenant
    id: UploadId

    @property
    def parameters(self) -> dict[str, object]:
        """For statements with `OF_TENANT` and `upload`."""
        return {"upload": str(self.id), **tenant_parameters(self.tenant)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """An upload that begins; its tenant may have `most` of them open."""

    arrival: Arrival
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Who wants to write an upload, or to know its offset."""

    at: UploadAt
    caller: Caller
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An upload that was taken over, to be written until somebody else takes it.

    Attributes:
        caller: who took it, and began it.
        complete: there is nothing to write: the tenant holds the blob.
        over: it became complete just now, by another upload of the blob, so its bytes are to be removed.
        wanted: an open bundle of the tenant wants the blob.
    """

    at: UploadAt
    caller: Caller
    epoch: int
    digest: Digest
    size: int
    key: BlobKey
    complete: bool
    over: bool
    wanted: bool

    @property
    def id(self) -> UploadId:
        """The upload."""
        return self.at.id

    def arrival(self, now: datetime) -> Arrival:
        """Return what it is when all of it has come."""
        return Arrival(
            upload=self.id, tenant=self.at.tenant, caller=self.caller, digest=self.digest, size=self.size,
            key=self.key, now=now,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many bytes of an upload came, as far as its writer of this epoch knows."""

    id: UploadId
    epoch: int
    arrived: int
    now: datetime

    @property
    def parameters(self) -> dict[str, object]:
        """For the statements that hold the epoch against the row's."""
        return {"upload": str(self.id), "of_epoch": self.epoch, "so_far": self.arrived, "now": micros(self.now)}


def begin(connection: Connection, new: NewUpload) -> None:
    """Remember an upload that is about to come in parts.

    Raises:
        TooManyRequests: the tenant has too many open ones, and an open bundle wants each of them.
    """
    arrival = new.arrival
    tenant_id = connection.execute(TENANT_ID, tenant_parameters(arrival.tenant)).scalar_one()
    count = connection.execute(_OPEN_OF_TENANT, {"of_tenant": tenant_id}).scalar_one()
    if count >= new.most and not end_oldest(connection, tenant_id=tenant_id, count=1, now=arrival.now):
        msg = f"the namespace has {count} uploads under way and may have {new.most}; finish or cancel some"
        raise TooManyRequests(msg, retry_after=_RETRY_AFTER)
    connection.execute(_INSERT, _row(arrival, tenant_id=tenant_id))
    append(connection, [_entry("upload.create", arrival)])


def take(connection: Connection, item: Take) -> Taken:
    """Take an upload over from whoever writes it.

    Raises:
        NotFound: there is none, it has ended, or somebody else began it: one answer for all.
    """
    row = connection.execute(LOCKED, item.at.parameters).one_or_none()
    if row is None or row.created_by != item.caller.name:
        raise unknown()
    upload = {"upload": str(item.at.id), "now": micros(item.now)}
    wish = find_wish(connection, (item.at.tenant, Digest(row.digest)))
    held = wish.held == row.size
    if row.state == COMPLETE and not held:
        # It was stored, and swept since: the client has to bring the bytes again, and begins with a new upload.
        raise unknown()
    connection.execute(_TAKE, upload)
    if held and row.state == OPEN:
        connection.execute(SET_STATE, {**upload, "new_state": COMPLETE})
    return Taken(
        at=item.at, caller=item.caller, epoch=row.epoch + 1, digest=Digest(row.digest), size=row.size,
        key=BlobKey(row.key), complete=held, over=held and row.state == OPEN, wanted=row.size in wish.wanted,
    )  # fmt: skip


def find_epoch(connection: Connection, upload: UploadId) -> int | None:
    """Return the epoch of an upload, None when it has ended: a query.

    One that is complete has the epoch of who completed it, who may not have heard of it yet.
    """
    epoch: int | None = connection.execute(_EPOCH, {"upload": str(upload)}).scalar()
    return epoch


def note(connection: Connection, progress: Progress) -> None:
    """Write down how far an upload came.

    Raises:
        UploadSuperseded: somebody took it over, or it ended.
    """
    _require_own(connection, _NOTE, progress)


def complete(connection: Connection, item: tuple[Progress, Arrival]) -> bool:
    """Make the verified bytes a blob; tells whether a row names them, and raises what `arrivals.name_blobs` does.

    Raises:
        UploadSuperseded: somebody took the upload over, or it ended; then nothing is named.
    """
    progress, arrival = item
    _require_own(connection, _COMPLETE, progress)
    return bool(name_blobs(connection, [arrival]))


def fail(connection: Connection, item: tuple[Progress, Arrival, str]) -> None:
    """End an upload whose bytes are not the promised ones, with the code of the error.

    Raises:
        UploadSuperseded: somebody took it over, or it ended.
    """
    progress, arrival, code = item
    _require_own(connection, _FAIL, progress)
    append(connection, [_entry("upload.fail", arrival, result=code)])


def find_standing(connection: Connection, _nothing: None) -> tuple[int, int]:
    """Return how many uploads are open, and about how many bytes of them came: a query."""
    count, size = connection.execute(_STANDING).one()
    return count, int(size)


def _require_own(connection: Connection, change: Any, progress: Progress) -> None:
    if connection.execute(change, progress.parameters).rowcount != 1:
        raise UploadSuperseded("another request took this upload over, or it has ended; ask for its offset")


def unknown() -> NotFound:
    """Return the one answer for what is not there, what has ended, and what is somebody else's."""
    return NotFound("there is no such upload; it may have expired, or been cancelled")


def _row(arrival: Arrival, *, tenant_id: int) -> dict[str, object]:
    now = micros(arrival.now)
    return {
        "id": str(arrival.upload), "tenant_id": tenant_id, "digest": str(arrival.digest), "key": str(arrival.key),
        "started_at": now, "state": OPEN, "size": arrival.size, "arrived": 0, "created_by": arrival.caller.name,
        "epoch": 0, "last_activity_at": now,
    }  # fmt: skip


def _entry(action: str, arrival: Arrival, *, result: str = "done") -> Entry:
    return Entry(
        at=arrival.now,
        action=action,
        caller=arrival.caller,
        namespace=arrival.tenant.namespace,
        subject=arrival.upload,
        result=result,
        detail=f"{arrival.digest}, {arrival.size} bytes",
    )
