"""A bundle that is there: what it is, and what can be done with it."""

from datetime import datetime
from enum import StrEnum

from staging_protocol.api.bodies import Body, LongText, Seconds, Size
from staging_protocol.digests import Digest
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId


class BundleState(StrEnum):
    """Where a bundle stands; ended bundles answer 410 from their tombstone."""

    OPEN = "open"
    SEALED = "sealed"


class Pin(Body, frozen=True):
    """`PUT …/pin`: hold the bundle until `until` (without it: until unpinned)."""

    reason: LongText
    until: datetime | None = None


class Lease(Body, frozen=True):
    """`PUT …/lease`: hold the bundle for `seconds` from now; renewed by a client-mode driver's submitter."""

    seconds: Seconds


class Bundle(Body, frozen=True):
    """`GET …/bundles/{id}` and the items of lists."""

    id: BundleId
    namespace: str
    application: str
    state: BundleState
    created_at: datetime
    created_by: str
    last_activity_at: datetime
    expires_at: datetime | None
    files: int
    size: Size
    manifest_digest: Digest
    owner: OwnerReference | None = None
    pin: Pin | None = None
    lease_until: datetime | None = None


class Sealed(Body, frozen=True):
    """Answer to `POST …/seal`."""

    id: BundleId
    manifest_digest: Digest
    expires_at: datetime | None


class BundleToken(Body, frozen=True):
    """Answer to `POST …/token`: a new token; the old one stays valid until `previous_valid_until`."""

    token: str
    previous_valid_until: datetime


class BundlePage(Body, frozen=True):
    """A page of a list; `next` is the cursor of the following page, None on the last."""

    bundles: tuple[Bundle, ...]
    next: str | None = None
