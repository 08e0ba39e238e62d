"""Making a bundle: what a job needs, and which bytes of it the server still wants."""

from datetime import datetime
from enum import StrEnum

from staging_protocol.api.bodies import Body, Seconds, ShortText, Size
from staging_protocol.api.info import PodEndpoint
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId


class NewFile(Body, frozen=True):
    """A submitter-local dependency that shall be staged."""

    kind: Kind
    name: FileName
    size: Size
    digest: Digest


class Retention(Body, frozen=True):
    """What a submitter may ask for; the server's policy bounds it."""

    time_to_live: Seconds | None = None


class NewBundle(Body, frozen=True):
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


class CreatedBundle(Body, frozen=True):
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
