"""The bodies of the staging API, v1; OpenAPI and both sides are made from these.

Sizes are bytes, durations seconds, times UTC (RFC 3339).  The tenant of a request comes from the caller's identity and
the path, so no body has a namespace to say whose it is.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId

API_VERSION: Final = "v1"

Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[int, Meta(gt=0, le=10 * 366 * 86400)]
# Control characters would move a terminal's cursor or forge lines of a table; PostgreSQL does not take a NUL.
# Python's `$` also stands before a last newline, hence the look-ahead.
_PLAIN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
_LINES: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"

ShortText = Annotated[str, Meta(min_length=1, max_length=253, pattern=_PLAIN)]
LongText = Annotated[str, Meta(min_length=1, max_length=2000, pattern=_LINES)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all bodies: immutable, by name, defaults left out."""


# --- GET /v1/info ----------------------------------------------------------------------------------------------------


class Limits(_Body, frozen=True):
    """What the server refuses before it reads bytes."""

    file_size: Size
    create_body_size: Size
    files_per_bundle: int


class PodEndpoint(_Body, frozen=True):
    """Where pods reach the server; `ca` is the PEM text of the authority to trust besides the system's."""

    url: str
    ca: str | None = None


class Info(_Body, frozen=True):
    """`GET /v1/info`."""

    server: str
    api_versions: tuple[str, ...]
    auth_mode: str
    limits: Limits
    pods: PodEndpoint


# --- POST /v1/namespaces/{namespace}/bundles -------------------------------------------------------------------------


class NewFile(_Body, frozen=True):
    """A submitter-local dependency that shall be staged."""

    kind: Kind
    name: FileName
    size: Size
    digest: Digest


class Retention(_Body, frozen=True):
    """What a submitter may ask for; the server's policy bounds it."""

    time_to_live: Seconds | None = None


class NewBundle(_Body, frozen=True):
    """`POST …/bundles`: what one job needs.

    `files` are staged on the server; `remote` entries are only kept in the manifest, before the staged ones.
    """

    application: ShortText
    files: tuple[NewFile, ...] = ()
    remote: tuple[ManifestEntry, ...] = ()
    owner: OwnerReference | None = None
    retention: Retention | None = None


class FileState(StrEnum):
    """Whether the server needs the bytes of a file."""

    HELD = "held"
    WANTED = "wanted"


class CreatedBundle(_Body, frozen=True):
    """201 to `POST …/bundles`.  `files` has one state for each file of the request, in its order.

    The token is shown here and never again.  With nothing wanted the bundle is sealed.
    """

    id: BundleId
    token: str
    sealed: bool
    expires_at: datetime
    files: tuple[FileState, ...]
    manifest_digest: Digest
    pods: PodEndpoint


# --- one bundle ------------------------------------------------------------------------------------------------------


class BundleState(StrEnum):
    """Where a bundle stands; ended bundles answer 410 from their tombstone."""

    OPEN = "open"
    SEALED = "sealed"


class Pin(_Body, frozen=True):
    """`PUT …/pin`: hold the bundle until `until` (without it: until unpinned)."""

    reason: LongText
    until: datetime | None = None


class Lease(_Body, frozen=True):
    """`PUT …/lease`: hold the bundle for `seconds` from now; renewed by a client-mode driver's submitter."""

    seconds: Seconds


class Bundle(_Body, frozen=True):
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


class Sealed(_Body, frozen=True):
    """Answer to `POST …/seal`."""

    id: BundleId
    manifest_digest: Digest
    expires_at: datetime | None


class BundleToken(_Body, frozen=True):
    """Answer to `POST …/token`: a new token; the old one stays valid until `previous_valid_until`."""

    token: str
    previous_valid_until: datetime


class BundlePage(_Body, frozen=True):
    """A page of a list; `next` is the cursor of the following page, None on the last."""

    bundles: tuple[Bundle, ...]
    next: str | None = None


# --- reports and explanations ----------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """How resolving ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Report(_Body, frozen=True):
    """`POST …/reports`, and the termination message of the init container.

    `files` and `size` count what was downloaded, `reused` what was whole already.
    `code` and `detail` say why it failed.
    """

    outcome: Outcome
    role: ShortText
    pod: ShortText
    exit_code: Annotated[int, Meta(ge=0, le=255)]
    seconds: Annotated[float, Meta(ge=0)]
    files: Size = 0
    reused: Size = 0
    size: Size = 0
    code: ShortText | None = None
    detail: Annotated[str, Meta(max_length=3000)] | None = None


class ReceivedReport(_Body, frozen=True):
    """A report with the time at which the server got it."""

    received_at: datetime
    report: Report


class Claim(_Body, frozen=True):
    """One reason that keeps a bundle, or kept it.  `until` is None while its end is not known."""

    kind: str
    holds: bool
    detail: str
    until: datetime | None = None


class Explanation(_Body, frozen=True):
    """`GET …/explain`: why the bundle is still there, in words."""

    bundle: Bundle
    verdict: str
    claims: tuple[Claim, ...]
    reports: tuple[ReceivedReport, ...] = ()


# --- operators -------------------------------------------------------------------------------------------------------


class NamespaceUsage(_Body, frozen=True):
    """What one namespace has on the server.

    `bundle_size` counts a blob once for each bundle that has it, `blob_size` once for the namespace.
    """

    namespace: str
    bundles: int
    bundle_size: Size
    blobs: int
    blob_size: Size
    reserved: Size
    quota: Size | None = None


class Usage(_Body, frozen=True):
    """`GET /v1/usage`; `stored_size` counts every blob once for the whole server."""

    namespaces: tuple[NamespaceUsage, ...]
    blobs: int
    stored_size: Size


class NewSweep(_Body, frozen=True):
    """`POST /v1/sweeps`; a dry run only says what would go."""

    dry_run: bool = False


class SweptBundle(_Body, frozen=True):
    """A bundle that a sweep ended, with the reason that its tombstone keeps."""

    id: BundleId
    namespace: str
    application: str
    size: Size
    reason: str


class SweptBlob(_Body, frozen=True):
    """A blob whose bytes a sweep removed."""

    digest: Digest
    size: Size


class Sweep(_Body, frozen=True):
    """Answer to `POST /v1/sweeps`."""

    dry_run: bool
    bundles: tuple[SweptBundle, ...]
    blobs: tuple[SweptBlob, ...]
    freed: Size


# --- errors ----------------------------------------------------------------------------------------------------------


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`application/problem+json` (RFC 9457), the body of every error.

    `missing` lists files that are not staged yet (`files-missing`); `ended_at` and `reason` explain `bundle-expired`;
    `expected-offset` says where an upload stands (`upload-offset-mismatch`).
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    missing: tuple[str, ...] = ()
    ended_at: datetime | None = None
    reason: str | None = None
    expected_offset: int | None = msgspec.field(default=None, name="expected-offset")
