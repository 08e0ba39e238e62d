"""What operators ask for: usage, and sweeps."""

from staging_protocol.api.bodies import Body, Size
from staging_protocol.digests import Digest
from staging_protocol.tokens import BundleId


class NamespaceUsage(Body, frozen=True):
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


class Usage(Body, frozen=True):
    """`GET /v1/usage`; `stored_size` counts every blob once for the whole server."""

    namespaces: tuple[NamespaceUsage, ...]
    blobs: int
    stored_size: Size


class NewSweep(Body, frozen=True):
    """`POST /v1/sweeps`; a dry run only says what would go."""

    dry_run: bool = False


class SweptBundle(Body, frozen=True):
    """A bundle that a sweep ended, with the reason that its tombstone keeps."""

    id: BundleId
    namespace: str
    application: str
    size: Size
    reason: str


class SweptBlob(Body, frozen=True):
    """A blob whose bytes a sweep removed, with why."""

    digest: Digest
    size: Size
    reason: str = ""


class Sweep(Body, frozen=True):
    """Answer to `POST /v1/sweeps`."""

    dry_run: bool
    bundles: tuple[SweptBundle, ...]
    blobs: tuple[SweptBlob, ...]
    freed: Size
