"""What is refused before bytes are read: sizes, numbers, quotas."""

from typing import Annotated

from pydantic import Field

from staging_server.settings.group import GIB, KIB, MIB, Bytes, Count, Group, Seconds


class LimitSettings(Group):
    """What is refused before bytes are read."""

    file_size: Bytes = 50 * GIB
    """Largest single file; larger ones get 413."""

    bundle_size: Bytes = 200 * GIB
    """Largest sum of the sizes of a bundle's files; more gets 413."""

    files_per_bundle: Count = 10_000
    """Most entries of a bundle, staged and remote together; more gets 413."""

    create_body_size: Bytes = 8 * MIB
    """Largest JSON body of a create; 10,000 files need about 2 MiB.  Larger ones get 413."""

    body_size: Bytes = 64 * KIB
    """Largest JSON body of all other requests."""

    bundles_per_namespace: Count = 100_000
    """Most live bundles of a namespace; more gets 507 until some end."""

    namespace_size: Bytes | None = None
    """Quota of a namespace: bytes of its blobs and of what its open bundles still want.  None: no quota.  When it is
    reached, blobs that no bundle has go first, oldest first; after that creates get 507."""

    uploads_in_flight: Count = 64
    """Uploads at once in this process; more wait.  Each takes about half a MiB, over TLS three `write_buffer`."""

    uploads_per_namespace: Count = 32
    """Uploads at once of one namespace in this process; more wait, so that one namespace cannot take all places."""

    uploads_waiting: Count = 1000
    """Uploads that wait for a place in this process, at most half of them of one namespace; more get 429 with
    Retry-After.  Places go round among the namespaces that wait.  One that waits holds a connection and no bytes."""

    upload_wait: Seconds = 45.0
    """Time that an upload waits for a place; then it gets 429 with Retry-After.  Keep it below the time after which
    clients give up a connection without progress (60 for ours)."""

    open_uploads_per_namespace: Count = 1000
    """Uploads in parts that a namespace may have begun and not finished; more get 429.  Those that no open bundle wants
    any more make room for new ones, the longest idle first."""

    disk_high_water: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Share of the disk above which no upload is accepted (507), so that the database keeps room to delete."""

    reports_per_bundle: Count = 200
    """Reports of init containers kept for each bundle; the oldest go first."""

    page_size: Count = 500
    """Most bundles on one page of a list."""

    connections: Count = 10_000
    """Open connections of a process, and no more than a third of the files that the system lets it open.  Beyond, the
    one that has waited longest for a request is closed for each new one; when all are at work, new ones may only ask
    the probes."""
