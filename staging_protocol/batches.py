r"""Many small blobs in one request, `POST …/blobs`: the body is one line of JSON, then the bytes one behind the other.

    {"blobs":[{"digest":"sha256:…","size":3},{"digest":"sha256:…","size":2}]}\n
    abcde

The request has a Content-Length.  A server that takes batches says in `GET /v1/info` how large they may be.
"""

from typing import Annotated, Final

import msgspec

from staging_protocol.api.bodies import Size
from staging_protocol.api.info import BatchLimits
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, TooLarge
from staging_protocol.wire import decode, encode

CONTENT_TYPE: Final = "application/vnd.spark-staging.blobs"

MAX_LINE: Final = 64 * 1024
"""Bytes of the first line with its end; a blob takes at most 120."""

_END: Final = b"\n"


class BatchedBlob(msgspec.Struct, frozen=True, kw_only=True):
    """One of the blobs."""

    digest: Digest
    size: Size


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of the body: the blobs whose bytes follow, in their order."""

    blobs: Annotated[tuple[BatchedBlob, ...], msgspec.Meta(min_length=1)]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)

    def to_line(self) -> bytes:
        """Return the first line of the body, its end included."""
        return encode(self) + _END

    @classmethod
    def of_line(cls, line: bytes) -> "Batch":
        """Read the first line, without its end.

        Raises:
            InvalidRequest: it is none, or has a digest twice.
        """
        batch = decode(line, into=cls)
        if len({blob.digest for blob in batch.blobs}) != len(batch.blobs):
            raise InvalidRequest("a digest is in the batch twice; send each blob once")
        return batch

    def check(self, limits: BatchLimits) -> None:
        """Return when the batch is within `limits`.

        Raises:
            TooLarge: it is not.
        """
        if len(self.blobs) > limits.blobs:
            msg = f"a batch may have {limits.blobs} blobs, this one has {len(self.blobs)}"
            raise TooLarge(msg)
        largest = max(blob.size for blob in self.blobs)
        if largest > limits.blob_size:
            msg = f"a blob of a batch may have {limits.blob_size} bytes, one has {largest}; upload it alone"
            raise TooLarge(msg)
        if self.size > limits.size:
            msg = f"a batch may have {limits.size} bytes, this one has {self.size}"
            raise TooLarge(msg)
