"""What every blob store promises about batches.  A test module inherits `BlobBatchContract`, with a fixture `store`."""

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, NotFound
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import Batched, BatchWriter, BlobKey, BlobStore
from tests.contracts.blob_store import contents

CONTENTS = (b"", b"a", b"bb" * 4000, b"", b"c" * 70_000)


def key_of(content: bytes) -> BlobKey:
    """Return a new key for `content`."""
    return BlobKey.of(Digest.of(content), upload=UploadId.generate())


def batch_of(*contents: bytes) -> list[Batched]:
    """Return a batch with a new key for each."""
    return [Batched(size=len(content), key=key_of(content)) for content in contents]


async def committed(store: BlobStore, batch: list[Batched]) -> dict[BlobKey, bytes]:
    """Return the bytes under the keys of `batch` that there are."""
    found = {}
    for one in batch:
        if one.key is not None:
            try:
                found[one.key] = await contents(store, one.key)
            except NotFound:
                continue
    return found


def write_now(writer: BatchWriter, content: bytes, *, piece: int) -> None:
    for start in range(0, len(content), piece):
        view = memoryview(content)[start : start + piece]
        writer.write_now(view)
        writer.hash_now(view, offset=start)


class BlobBatchContract:
    @pytest.mark.parametrize("piece", [1, 999, 4096, 1_000_000])
    @pytest.mark.parametrize("on_our_thread", [True, False])
    async def test_bytes_are_cut_where_a_blob_ends_however_they_come(
        self, store: BlobStore, piece: int, *, on_our_thread: bool
    ) -> None:
        distinct = list(dict.fromkeys(CONTENTS))
        batch, whole = batch_of(*distinct), b"".join(distinct)
        writer = await store.create_batch(batch)
        if on_our_thread:
            write_now(writer, whole, piece=piece)
        else:
            await writer.write([whole[start : start + piece] for start in range(0, len(whole), piece)])
        assert writer.size == len(whole)
        await writer.commit()
        assert list((await committed(store, batch)).values()) == distinct

    async def test_bytes_without_a_key_are_passed_over(self, store: BlobStore) -> None:
        batch = [Batched(size=5, key=None), *batch_of(b"kept"), Batched(size=3, key=None)]
        writer = await store.create_batch(batch)
        await writer.write([b"12345ke", b"pt123"])
        await writer.commit()
        assert list((await committed(store, batch)).values()) == [b"kept"]

    async def test_nothing_is_visible_before_the_commit(self, store: BlobStore) -> None:
        batch = batch_of(b"one", b"two")
        writer = await store.create_batch(batch)
        await writer.write([b"onetwo"])
        assert not await committed(store, batch)
        await writer.commit()

    @pytest.mark.parametrize("sent", [b"onetwx", b"xnetwo", b"onetw", b""])
    async def test_one_wrong_blob_spoils_the_batch(self, store: BlobStore, sent: bytes) -> None:
        batch = batch_of(b"one", b"two")
        writer = await store.create_batch(batch)
        await writer.write([sent])
        with pytest.raises(DigestMismatch):
            await writer.commit()
        await writer.cancel()
        assert not await committed(store, batch)
        assert [upload async for upload in store.abandoned()] == []

    async def test_more_bytes_than_promised_are_refused(self, store: BlobStore) -> None:
        batch = batch_of(b"one")
        writer = await store.create_batch(batch)
        with pytest.raises(DigestMismatch):
            await writer.write([b"one more"])
        await writer.cancel()
        assert not await committed(store, batch)

    async def test_a_cancel_after_the_commit_takes_nothing_away(self, store: BlobStore) -> None:
        batch = batch_of(b"one", b"two")
        writer = await store.create_batch(batch)
        await writer.write([b"onetwo"])
        await writer.commit()
        await writer.cancel()
        await writer.cancel()
        assert list((await committed(store, batch)).values()) == [b"one", b"two"]

    async def test_the_bytes_on_their_way_can_be_forgotten(self, store: BlobStore) -> None:
        batch = batch_of(b"one", b"two")
        writer = await store.create_batch(batch)
        await writer.write([b"onet"])
        await writer.cancel()
        for one in batch:
            assert one.key is not None
            await store.forget(one.key.upload)
        assert not await committed(store, batch)
