"""What every blob store promises.  A test module inherits `BlobStoreContract` and brings a fixture `store`."""

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import NotFound
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey, BlobStore


async def stored(store: BlobStore, content: bytes) -> BlobKey:
    """Commit `content` and return its key."""
    upload = UploadId.generate()
    key = BlobKey.of(Digest.of(content), upload=upload)
    writer = await store.create(upload)
    await writer.write([content])
    await writer.commit(key)
    return key


async def contents(store: BlobStore, key: BlobKey) -> bytes:
    """Return all bytes under `key`."""
    blob = await store.open(key)
    try:
        return await blob.read(0, size=blob.size)
    finally:
        await blob.close()


class BlobStoreContract:
    async def test_what_was_committed_can_be_read(self, store: BlobStore) -> None:
        key = await stored(store, b"some bytes")
        assert await contents(store, key) == b"some bytes"

    async def test_a_blob_without_bytes_can_be_stored(self, store: BlobStore) -> None:
        assert await contents(store, await stored(store, b"")) == b""

    async def test_any_chunking_gives_the_same_digest_and_bytes(self, store: BlobStore) -> None:
        content = bytes(range(256)) * 40
        upload = UploadId.generate()
        writer = await store.create(upload)
        for start in range(0, len(content), 1000):
            await writer.write([content[start : start + 7], b"", content[start + 7 : start + 1000]])
        assert writer.size == len(content)
        assert await writer.digest() == Digest.of(content)
        key = BlobKey.of(Digest.of(content), upload=upload)
        await writer.commit(key)
        assert await contents(store, key) == content

    async def test_nothing_is_visible_before_its_commit(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        key = BlobKey.of(Digest.of(b"x"), upload=upload)
        writer = await store.create(upload)
        await writer.write([b"x"])
        with pytest.raises(NotFound):
            await store.open(key)
        await writer.cancel()

    async def test_a_cancelled_upload_leaves_nothing(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        writer = await store.create(upload)
        await writer.write([b"x"])
        await writer.cancel()
        await writer.cancel()
        assert await _all(store, Digest.of(b"x")) == []

    async def test_a_cancel_after_the_commit_takes_nothing_away(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        key = BlobKey.of(Digest.of(b"kept"), upload=upload)
        writer = await store.create(upload)
        await writer.write([b"kept"])
        await writer.commit(key)
        await writer.cancel()
        assert await contents(store, key) == b"kept"

    async def test_the_same_digest_can_lie_under_two_keys(self, store: BlobStore) -> None:
        first, second = await stored(store, b"twice"), await stored(store, b"twice")
        assert first != second
        await store.remove(first)
        assert await contents(store, second) == b"twice"

    async def test_removing_is_harmless_when_there_is_nothing(self, store: BlobStore) -> None:
        key = await stored(store, b"gone")
        await store.remove(key)
        await store.remove(key)
        with pytest.raises(NotFound):
            await store.open(key)

    async def test_bytes_stay_readable_for_who_has_them_open(self, store: BlobStore) -> None:
        key = await stored(store, b"still here")
        blob = await store.open(key)
        await store.remove(key)
        assert await blob.read(6, size=100) == b"here"
        await blob.close()
        await blob.close()

    async def test_a_listing_names_what_is_committed(self, store: BlobStore) -> None:
        key = await stored(store, b"listed")
        assert await _all(store, key.digest) == [(key, 6)]

    async def test_space_is_told(self, store: BlobStore) -> None:
        space = await store.space()
        assert space.free is None or (space.total is not None and 0 <= space.free <= space.total)


async def _all(store: BlobStore, digest: Digest) -> list[tuple[BlobKey, int]]:
    return [(found.key, found.size) async for found in store.listing(digest.hex[:2])]
