"""What holds between two servers on one store and one database, for uploads in parts.

A test module inherits `TakeOverContract` and brings a fixture `two`: the domain opened twice over the same data.
"""

import asyncio

import pytest

from staging_protocol.errors import UploadOffsetMismatch, UploadSuperseded
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey, ResumableWriter
from staging_server.metadata.tables import uploads
from staging_server.uploads import writers as upload_writers
from tests.staging_server.domain import ALICE, RED, Domain
from tests.staging_server.live import eventually
from tests.staging_server.parts_domain import append, begin, offset_of, stall

WHOLE = bytes(range(256)) * 40
Two = tuple[Domain, Domain]


class TakeOverContract:
    async def test_who_writes_in_another_process_notices_and_lets_go(self, two: Two) -> None:
        """Also while it waits for bytes that never come."""
        one, other = two
        await one.create(WHOLE)
        upload = await begin(one, WHOLE)
        task, _ = await stall(one, upload, WHOLE, at=1000)
        assert await offset_of(other, upload) == 1000
        with pytest.raises(UploadSuperseded):
            await task
        assert (await append(other, upload, WHOLE[1000:], offset=1000, complete=True)).state.complete

    async def test_who_was_taken_over_from_stores_nothing_more(self, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also when it never looks: it ends with all bytes verified, and may not name them."""
        one, other = two
        monkeypatch.setattr(upload_writers, "_LOOK_EVERY", 3600)
        created = await one.create(WHOLE)
        upload = await begin(one, WHOLE)
        task, go_on = await stall(one, upload, WHOLE, at=1000)
        asking = asyncio.create_task(offset_of(other, upload))
        await _taken_over(one)
        go_on.set()
        with pytest.raises(UploadSuperseded):
            await task
        assert await asking == len(WHOLE)
        await append(other, upload, b"", offset=len(WHOLE), complete=True)
        await one.parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await other.read(created) == WHOLE
        assert len(await one.stored_files()) == 1

    async def test_who_comes_too_late_to_the_bytes_leaves_them_alone(
        self, two: Two, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It took the upload over, was taken over from while it waited for the bytes, and by then they are a blob."""
        one, other = two
        created = await one.create(WHOLE)
        upload = await begin(one, WHOLE)
        waits, go_on = asyncio.Event(), asyncio.Event()
        resume = other.parts.blobs.resume

        async def resume_late(of: UploadId, *, key: BlobKey) -> ResumableWriter:
            waits.set()
            await go_on.wait()
            return await resume(of, key=key)

        monkeypatch.setattr(other.parts.blobs, "resume", resume_late)
        late = asyncio.create_task(append(other, upload, b"wrong"))
        await waits.wait()
        await append(one, upload, WHOLE, complete=True)
        go_on.set()
        with pytest.raises(UploadSuperseded):
            await late
        await one.parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await one.read(created) == WHOLE
        assert await one.upload_files() == []

    async def test_two_that_take_it_from_each_other_never_mix_their_bytes(self, two: Two) -> None:
        """Both send what belongs at the offset that they were told; whoever is late is told so."""
        created = await two[0].create(WHOLE)
        upload = await begin(two[0], WHOLE)

        async def bring(domain: Domain, size: int) -> None:
            offset, is_complete = 0, False
            while not is_complete:
                part = WHOLE[offset : offset + size]
                try:
                    standing = await append(
                        domain, upload, part, offset=offset, complete=offset + len(part) == len(WHOLE)
                    )
                except UploadOffsetMismatch as error:
                    offset = error.expected or 0
                except UploadSuperseded:
                    await asyncio.sleep(0)
                else:
                    offset, is_complete = standing.state.offset, standing.state.complete

        await asyncio.gather(bring(two[0], 700), bring(two[1], 900))
        await two[1].parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await two[0].read(created) == WHOLE
        assert len(await two[0].stored_files()) == 1

    async def test_a_part_goes_on_in_another_process(self, two: Two) -> None:
        """And the digest is right although none of them saw all bytes."""
        created = await two[0].create(WHOLE)
        upload = await begin(two[0], WHOLE)
        for number, offset in enumerate(range(0, len(WHOLE), 1024)):
            part = WHOLE[offset : offset + 1024]
            complete = offset + len(part) == len(WHOLE)
            await append(two[number % 2], upload, part, offset=offset, complete=complete)
        await two[0].parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await two[1].read(created) == WHOLE

    async def test_what_one_cancels_is_gone_for_the_other(self, two: Two) -> None:
        one, other = two
        await one.create(WHOLE)
        upload = await begin(one, WHOLE)
        task, _ = await stall(one, upload, WHOLE, at=1000)
        await other.parts.resumable.cancel(RED, upload, caller=ALICE, anybody=False)
        with pytest.raises(UploadSuperseded):
            await task
        await one.parts.resumable.close()
        assert await one.upload_files() == []


async def _taken_over(domain: Domain) -> None:
    """Wait until somebody else has taken the one upload over."""

    async def is_over() -> bool:
        (row,) = await domain.rows(uploads)
        return bool(row.epoch == 2)

    await eventually(is_over)
