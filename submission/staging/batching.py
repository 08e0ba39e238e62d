"""Which files go to the server together: small ones many in a request, all others alone.  Pure.

A request costs more than the bytes of a small file.  A batch is sent again as a whole when its connection breaks, so it
is never larger than a part of a large file, whatever the server allows.

Small files are ordered by their digests, because the server keeps blobs in folders by digest: each batch then touches
few of them.
"""

from collections.abc import Iterable, Iterator, Sequence

from staging_protocol.api.info import BatchLimits
from staging_protocol.batches import Batch, BatchedBlob
from submission.staging.hashing import HashedFile
from submission.staging.resumable import PART

Load = tuple[HashedFile, ...]
"""Files that go in one request, or one that goes by itself."""


def loads(files: Sequence[HashedFile], limits: BatchLimits | None) -> list[Load]:
    """Return all of `files` in loads, the largest load first; a server without `limits` takes no batches."""
    if limits is None:
        found: list[Load] = [(one,) for one in files]
    else:
        found = [(one,) for one in files if not _is_small(one, limits)]
        small = [one for one in files if _is_small(one, limits)]
        found += _together(sorted(small, key=lambda one: one.digest), limits)
    return sorted(found, key=lambda load: -size_of(load))


def size_of(load: Load) -> int:
    """Return its bytes."""
    return sum(one.version.size for one in load)


def announced(load: Load) -> Batch:
    """Return what the server is told about a load before its bytes."""
    return Batch(blobs=tuple(BatchedBlob(digest=one.digest, size=one.version.size) for one in load))


def _is_small(one: HashedFile, limits: BatchLimits) -> bool:
    return one.version.size <= min(limits.blob_size, limits.size, PART)


def _together(files: Iterable[HashedFile], limits: BatchLimits) -> Iterator[Load]:
    load: list[HashedFile] = []
    room = most = min(limits.size, PART)
    for one in files:
        if load and (one.version.size > room or len(load) == limits.blobs):
            yield tuple(load)
            load, room = [], most
        load.append(one)
        room -= one.version.size
    if load:
        yield tuple(load)
