"""The seam between the server and the place where bytes lie.

A blob's bytes lie under a key of their own per upload, `sha256/ab/<hex>.<upload id>`.  The store knows nothing of
tenants or bundles: the database row that names a key is what makes its bytes a blob (DESIGN 7).  So a store may hold
bytes that nobody names (a crash came first; they are swept), and never the other way round.

    writer = await store.create(upload)
    await writer.write([chunk, …])          any number of times
    await writer.commit(key)                durable under `key`; or writer.cancel()

Small ones may come many together, one behind the other:

    writer = await store.create_batch([Batched(size=…, key=…), …])
    await writer.write([chunk, …])          cut where one ends and the next begins
    await writer.commit()                   all durable under their keys; or writer.cancel()

An upload may come in parts, over days and processes:

    writer = await store.resume(upload, key=key)
    await writer.open()                     False while another writer has the bytes
    await writer.claim()                    when the upload is still ours
    await writer.write([chunk, …])          after the `writer.size` bytes that are there
    await writer.checkpoint()               durable so far
    await writer.park()                     for the next part; or writer.commit(key), writer.cancel()
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol, Self

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.uploads import UploadId

PREFIXES: Final = tuple(f"{number:02x}" for number in range(256))
"""The folders under `sha256/`, by the first two hexadecimal digits."""

_KEY: Final = re.compile(r"sha256/([0-9a-f]{2})/\1[0-9a-f]{62}\.[a-z2-7]{26}")


class BlobKey(str):
    """`sha256/ab/<hex>.<upload id>`: where the bytes of one upload end up."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take `text` as a key.

        Raises:
            InvalidRequest: it is none; so a key from a damaged database cannot leave the store's folder.
        """
        if not _KEY.fullmatch(text):
            msg = f"{text[:120]!r} is not the key of a blob"
            raise InvalidRequest(msg)
        return super().__new__(cls, text)

    @classmethod
    def of(cls, digest: Digest, *, upload: UploadId) -> Self:
        """Return the key for the bytes of `digest` that `upload` brings."""
        return cls(f"sha256/{digest.hex[:2]}/{digest.hex}.{upload}")

    @property
    def digest(self) -> Digest:
        """The digest of the bytes under the key."""
        return Digest(f"sha256:{self[10:74]}")

    @property
    def upload(self) -> UploadId:
        """The upload that brought, or brings, the bytes."""
        return UploadId(self[75:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Bytes of the place where blobs lie; a store without an end says None."""

    total: int | None
    free: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Bytes in the store, for the search for those that no row names.  `age` is in seconds."""

    key: BlobKey
    size: int
    age: float


class ByteWriter(Protocol):
    """Bytes on their way."""

    @property
    def size(self) -> int:
        """How many bytes were written."""
        ...

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Add `chunks` to the bytes and to their digest; returns when both is done.

        Raises:
            NoSpace: the place is full.
        """
        ...

    def write_now(self, view: memoryview) -> None:
        """Add `view` to the bytes, on the thread that calls; the caller has it hashed by `hash_now` as well.

        Raises:
            NoSpace, Unavailable: that is not possible; `size` says how much was written.
        """
        ...

    def hash_now(self, view: memoryview, *, offset: int) -> None:
        """Add `view`, which lies at `offset` of the bytes, to the digest, on the thread that calls.

        It may run beside `write_now`, ahead of it or behind it, but piece after piece in their order.
        """
        ...

    async def cancel(self) -> None:
        """Forget the bytes; harmless after `commit` and when called twice."""
        ...


class BlobWriter(ByteWriter, Protocol):
    """The bytes of one upload on their way; not visible under any key before `commit`."""

    async def digest(self) -> Digest:
        """Return the digest of everything written so far."""
        ...

    async def commit(self, key: BlobKey) -> None:
        """Make the bytes durable under `key`: after this they survive a power cut."""
        ...

    async def write_whole(self, chunks: Sequence[bytes], key: BlobKey) -> None:
        """Write, verify and commit a small blob in one step.

        Raises:
            DigestMismatch: `chunks` have another digest than `key`; nothing was committed.
            NoSpace: the place is full.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batched:
    """A blob among many that come one behind the other; without a key its bytes are passed over."""

    size: int
    key: BlobKey | None


class BatchWriter(ByteWriter, Protocol):
    """The bytes of many uploads, one behind the other; none is visible under its key before `commit`."""

    async def commit(self) -> None:
        """Verify all, and make all durable under their keys: after this they survive a power cut.

        Raises:
            DigestMismatch: one has another digest than its key, or bytes are missing; none was committed.
            NoSpace, Unavailable: some may be under their keys.
        """
        ...


class ResumableWriter(BlobWriter, Protocol):
    """The bytes of an upload that comes in parts.  One writer at a time has them, of all processes."""

    async def open(self) -> bool:
        """Keep other writers away from the bytes that are there, until `park`, `commit` or `cancel`.

        It changes nothing yet.  The writer before may have committed them, and had them named, and this one may have
        come too late: its owner has to find out now, before `claim`.

        Returns:
            False while another writer has them; then this may be called again.
        """
        ...

    async def claim(self) -> None:
        """Have the bytes for writing: those that were committed and that no row names are not committed any more."""
        ...

    async def checkpoint(self) -> int:
        """Make what was written durable; returns how many bytes from the first one are, which is the offset.

        Raises:
            NoSpace, Unavailable: it could not be made durable.
        """
        ...

    async def park(self) -> None:
        """Let go of the bytes and keep them; harmless when nothing was opened, after `commit`, and twice."""
        ...


class OpenBlob(Protocol):
    """Bytes open for reading; they stay readable until `close`, also when they are removed meanwhile."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def file(self) -> BinaryIO | None:
        """A regular file for `loop.sendfile`, which must be given offset and count; None when the bytes lie elsewhere.

        It may be shared: do not move its position, do not close it.
        """
        ...

    async def read(self, offset: int, *, size: int) -> bytes:
        """Return at most `size` bytes from `offset`; fewer only at the end."""
        ...

    async def close(self) -> None:
        """Let go; harmless when called twice."""
        ...


class BlobStore(Protocol):
    """A place for bytes.  All methods may be called from many tasks at once."""

    async def create(self, upload: UploadId) -> BlobWriter:
        """Begin to write the bytes of `upload`, whose id was not used before."""
        ...

    async def create_batch(self, batch: Sequence[Batched]) -> BatchWriter:
        """Begin to write the bytes of many uploads, whose ids were not used before."""
        ...

    async def resume(self, upload: UploadId, *, key: BlobKey) -> ResumableWriter:
        """Begin to write, or go on writing, the bytes of `upload`, which a commit puts under `key`."""
        ...

    async def open(self, key: BlobKey) -> OpenBlob:
        """Open the bytes under `key`.

        Raises:
            NotFound: there are none.
        """
        ...

    async def remove(self, key: BlobKey) -> None:
        """Remove the bytes under `key`; harmless when there are none."""
        ...

    async def forget(self, upload: UploadId) -> None:
        """Remove what `upload` left before its commit; harmless when there is nothing."""
        ...

    def abandoned(self) -> AsyncIterator[UploadId]:
        """Yield uploads that have bytes but no commit, and that nobody writes just now.

        Those that come in parts may be among them, when they wait for the next part.
        """
        ...

    def listing(self, prefix: str) -> AsyncIterator[Leftover]:
        """Yield everything committed whose digest begins with the two digits `prefix`."""
        ...

    async def space(self) -> Space:
        """Return how much room there is."""
        ...
