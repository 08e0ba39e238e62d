"""What every blob store promises.  A test module inherits `BlobStoreContract` and brings a fixture `store`."""

import asyncio

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, NotFound, Unavailable
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey, BlobStore, ResumableWriter


async def stored(store: BlobStore, content: bytes) -> BlobKey:
    """Commit `content` and return its key."""
    upload = UploadId.generate()
    key = BlobKey.of(Digest.of(content), upload=upload)
    writer = await store.create(upload)
    await writer.write([content])
    await writer.commit(key)
    return key


async def resumed(store: BlobStore, upload: UploadId, content: bytes = b"whole content") -> ResumableWriter:
    """Return a writer that has the bytes of `upload`, which is for `content`."""
    writer = await store.resume(upload, key=BlobKey.of(Digest.of(content), upload=upload))
    assert await writer.open()
    await writer.claim()
    return writer


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

    async def test_bytes_can_be_written_and_hashed_on_threads_of_the_caller(self, store: BlobStore) -> None:
        content = bytes(range(256)) * 40
        upload = UploadId.generate()
        writer = await store.create(upload)

        def write(step: int) -> None:
            for start in range(0, len(content), step):
                writer.hash_now(memoryview(content[start : start + step]), offset=start)
                writer.write_now(memoryview(content[start : start + step]))

        await asyncio.to_thread(write, 1000)
        assert (writer.size, await writer.digest()) == (len(content), Digest.of(content))
        key = BlobKey.of(Digest.of(content), upload=upload)
        await writer.commit(key)
        assert await contents(store, key) == content

    async def test_bytes_that_were_not_hashed_are_in_the_digest_all_the_same(self, store: BlobStore) -> None:
        writer = await store.create(UploadId.generate())
        await writer.write([b"one "])
        await asyncio.to_thread(writer.write_now, memoryview(b"two"))
        assert await writer.digest() == Digest.of(b"one two")
        await writer.cancel()

    async def test_a_small_blob_is_stored_in_one_step(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        key = BlobKey.of(Digest.of(b"small"), upload=upload)
        writer = await store.create(upload)
        await writer.write_whole([b"sm", b"all"], key)
        assert await contents(store, key) == b"small"

    async def test_a_small_blob_with_other_bytes_is_not_stored(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        writer = await store.create(upload)
        with pytest.raises(DigestMismatch):
            await writer.write_whole([b"other"], BlobKey.of(Digest.of(b"small"), upload=upload))
        await writer.cancel()
        assert await _all(store, Digest.of(b"small")) == []

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

    async def test_an_upload_in_parts_goes_on_where_it_was_parked(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        for number, part in enumerate((b"whole", b" ", b"content")):
            writer = await resumed(store, upload)
            assert writer.size == (0, 5, 6)[number]
            await writer.write([part[:2], part[2:]])
            assert await writer.checkpoint() == (5, 6, 13)[number]
            await writer.park()
        writer = await resumed(store, upload)
        assert await writer.digest() == Digest.of(b"whole content")
        key = BlobKey.of(Digest.of(b"whole content"), upload=upload)
        await writer.commit(key)
        await writer.park()
        assert await contents(store, key) == b"whole content"

    async def test_parts_are_not_visible_before_the_commit(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        writer = await resumed(store, upload)
        await writer.write([b"whole content"])
        await writer.checkpoint()
        await writer.park()
        with pytest.raises(NotFound):
            await store.open(BlobKey.of(Digest.of(b"whole content"), upload=upload))

    async def test_one_writer_at_a_time_has_the_bytes(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        key = BlobKey.of(Digest.of(b"whole content"), upload=upload)
        first, second = await resumed(store, upload), await store.resume(upload, key=key)
        await first.write([b"whole"])
        assert not await second.open()
        await first.park()
        assert await second.open()
        assert second.size == 5
        with pytest.raises(Unavailable):
            await first.write([b"late"])
        await second.park()

    async def test_a_parked_writer_writes_nothing_more(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        writer = await resumed(store, upload)
        await writer.park()
        await writer.park()
        with pytest.raises(Unavailable):
            await writer.open()
        with pytest.raises(Unavailable):
            await writer.write([b"late"])

    async def test_a_writer_that_never_opened_may_be_parked(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        await (await store.resume(upload, key=BlobKey.of(Digest.of(b"x"), upload=upload))).park()
        assert [found async for found in store.abandoned()] == []

    async def test_a_digest_after_a_take_over_is_that_of_all_bytes(self, store: BlobStore) -> None:
        """Whichever writers saw them: here one never hashes what the one before wrote last."""
        upload = UploadId.generate()
        content = bytes(range(256)) * 20_000
        for start in range(0, len(content), 1_000_000):
            writer = await resumed(store, upload, content)
            await writer.write([content[start : start + 1_000_000]])
            await writer.park()
            await self.lose_hashes(store)
        writer = await resumed(store, upload, content)
        await writer.write([b"the end"])
        assert await writer.digest() == Digest.of(content + b"the end")
        await writer.cancel()

    async def test_a_cancelled_upload_in_parts_begins_at_nothing(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        writer = await resumed(store, upload)
        await writer.write([b"whole"])
        await writer.cancel()
        await writer.park()
        writer = await resumed(store, upload)
        assert writer.size == 0
        await writer.cancel()

    async def test_what_is_forgotten_is_gone(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        writer = await resumed(store, upload)
        await writer.write([b"whole"])
        await writer.park()
        await store.forget(upload)
        await store.forget(upload)
        writer = await resumed(store, upload)
        assert writer.size == 0
        assert await writer.digest() == Digest.of(b"")
        await writer.cancel()

    async def test_a_commit_that_no_row_followed_is_taken_back(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        key = BlobKey.of(Digest.of(b"whole content"), upload=upload)
        writer = await resumed(store, upload)
        await writer.write([b"whole content"])
        await writer.commit(key)
        writer = await store.resume(upload, key=key)
        assert await writer.open()
        assert writer.size == 13
        assert await contents(store, key) == b"whole content", "a row may name it after all"
        await writer.claim()
        assert await _all(store, key.digest) == []
        await writer.write([b"!"])
        await writer.park()
        writer = await resumed(store, upload)
        assert writer.size == 14
        await writer.cancel()

    async def test_a_commit_that_was_taken_back_can_be_made_again(self, store: BlobStore) -> None:
        upload = UploadId.generate()
        key = BlobKey.of(Digest.of(b"whole content"), upload=upload)
        writer = await resumed(store, upload)
        await writer.write([b"whole content"])
        await writer.commit(key)
        writer = await resumed(store, upload)
        await writer.commit(key)
        assert await contents(store, key) == b"whole content"

    async def lose_hashes(self, store: BlobStore) -> None:
        """Make the store forget what it knows of uploads besides their bytes, as a restart does."""
        raise NotImplementedError

    async def test_space_is_told(self, store: BlobStore) -> None:
        space = await store.space()
        assert space.free is None or (space.total is not None and 0 <= space.free <= space.total)


async def _all(store: BlobStore, digest: Digest) -> list[tuple[BlobKey, int]]:
    return [(found.key, found.size) async for found in store.listing(digest.hex[:2])]
