"""Uploads in parts: what was acknowledged stays, whole bytes become the blob, and nothing else ever does."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from staging_protocol.digests import Digest
from staging_protocol.errors import (
    BlobNotWanted,
    DigestMismatch,
    InvalidRequest,
    NoSpace,
    NotFound,
    QuotaExceeded,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UploadOffsetMismatch,
    UploadSuperseded,
)
from staging_protocol.uploads import UploadId
from staging_server.audit import SWEEPER
from staging_server.blobs.base import BlobKey, Space
from staging_server.metadata import leases, resumption, upload_endings
from staging_server.metadata.base import one_by_one
from staging_server.metadata.leases import SweepLease
from staging_server.metadata.tables import audit, blobs, tenant_blobs, uploads
from staging_server.metadata.upload_endings import Idle
from staging_server.tenants import Caller
from staging_server.uploads import writers as upload_writers
from staging_server.uploads.resumable import Part
from tests.staging_server.domain import ALICE, BLUE, RED, Domain, Pieces, chunks_of, open_domain
from tests.staging_server.live import eventually
from tests.staging_server.parts_domain import append, begin, offset_of, stall

BOB = Caller(name="token:bob", address="127.0.0.1", request_id="request-2")
WHOLE = b"the whole content"


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[Domain]:
    async with open_domain(tmp_path) as opened:
        yield opened


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody look whether another process has taken an upload over: in one process that is not needed."""
    monkeypatch.setattr(upload_writers, "_LOOK_EVERY", 3600)


async def states(domain: Domain) -> list[str]:
    return [row.state for row in await domain.rows(uploads)]


async def actions(domain: Domain) -> list[tuple[str, str]]:
    """What the audit table says of uploads."""
    return [
        (row.action, row.result)
        for row in await domain.rows(audit)
        if row.action.startswith("upload.") or row.action == "blob.store"
    ]


async def age_files(folder: Path) -> None:
    """Make all files look as if nothing had happened to them for ever."""

    def touch() -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                os.utime(path, (0, 0))

    await asyncio.to_thread(touch)


# --- parts


async def test_parts_become_the_blob(domain: Domain) -> None:
    created = await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    standing = await append(domain, upload, WHOLE[:4])
    assert (standing.state.offset, standing.state.complete, standing.size) == (4, False, len(WHOLE))
    assert (await append(domain, upload, WHOLE[4:10], offset=4)).state.offset == 10
    last = await append(domain, upload, WHOLE[10:], offset=10, complete=True)
    assert (last.state.offset, last.state.complete) == (len(WHOLE), True)
    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert await domain.read(created) == WHOLE
    assert await domain.upload_files() == []
    assert await actions(domain) == [("upload.create", "done"), ("blob.store", "done")]


async def test_all_bytes_may_come_before_it_is_said_that_they_are_all(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    assert not (await append(domain, upload, WHOLE)).state.complete
    assert (await append(domain, upload, b"", offset=len(WHOLE), complete=True)).state.complete


async def test_a_file_without_bytes_can_come_in_parts(domain: Domain) -> None:
    created = await domain.create(b"")
    upload = await begin(domain, b"")
    assert await offset_of(domain, upload) == 0
    assert (await append(domain, upload, b"", complete=True)).state.complete
    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert await domain.read(created) == b""


async def test_a_restart_between_two_parts_changes_nothing(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain:
        created = await domain.create(WHOLE)
        upload = await begin(domain, WHOLE)
        await append(domain, upload, WHOLE[:5])
    async with open_domain(tmp_path) as domain:
        assert await offset_of(domain, upload) == 5
        await append(domain, upload, WHOLE[5:9], offset=5)
    async with open_domain(tmp_path) as domain:
        assert (await append(domain, upload, WHOLE[9:], offset=9, complete=True)).state.complete
        await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await domain.read(created) == WHOLE


@pytest.mark.parametrize("offset", [0, 3, 5, len(WHOLE)])
async def test_a_part_that_begins_elsewhere_is_refused_with_the_offset(domain: Domain, offset: int) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    with pytest.raises(UploadOffsetMismatch) as refused:
        await append(domain, upload, WHOLE[offset:], offset=offset, complete=True)
    assert refused.value.expected == 4
    assert await offset_of(domain, upload) == 4


@pytest.mark.parametrize(
    "part",
    [
        Part(offset=0, size=len(WHOLE) + 1, complete=False),
        Part(offset=4, size=len(WHOLE), complete=True),
        Part(offset=0, size=4, complete=True),
    ],
)
async def test_a_part_that_does_not_fit_is_refused_before_its_bytes(domain: Domain, part: Part) -> None:
    async def never() -> AsyncIterator[bytes]:
        pytest.fail("a byte was read")
        yield b""

    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    with pytest.raises(InvalidRequest):
        await domain.parts.resumable.append(RED, upload, part, Pieces(never()), caller=ALICE)
    assert await offset_of(domain, upload) == 0


async def test_what_came_of_a_part_that_breaks_off_is_kept(domain: Domain) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield WHOLE[:4]
        yield WHOLE[4:7]
        raise ConnectionResetError

    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    part = Part(offset=0, size=len(WHOLE), complete=True)
    with pytest.raises(ConnectionResetError):
        await domain.parts.resumable.append(RED, upload, part, Pieces(breaking()), caller=ALICE)
    assert await offset_of(domain, upload) == 7
    assert (await append(domain, upload, WHOLE[7:], offset=7, complete=True)).state.complete


async def test_a_body_that_ends_too_soon_is_no_whole(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    part = Part(offset=0, size=len(WHOLE), complete=True)
    with pytest.raises(InvalidRequest):
        await domain.parts.resumable.append(RED, upload, part, chunks_of(WHOLE[:4]), caller=ALICE)
    assert await offset_of(domain, upload) == 4


async def test_a_cancelled_part_keeps_what_came(domain: Domain) -> None:
    """A server that ends cancels what is still running."""
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    task, _ = await stall(domain, upload, WHOLE, at=4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await domain.parts.resumable.close()
    assert await offset_of(domain, upload) == 4


async def test_a_server_that_ends_lets_go_of_all_bytes(tmp_path: Path) -> None:
    """Also when its web server has not waited for the request."""
    async with open_domain(tmp_path) as domain:
        await domain.create(WHOLE)
        upload = await begin(domain, WHOLE)
        task, _ = await stall(domain, upload, WHOLE, at=4)
    with pytest.raises((UploadSuperseded, Unavailable)):
        await task
    async with open_domain(tmp_path) as domain:
        assert await offset_of(domain, upload) == 4


async def test_a_cancel_at_any_step_leaves_a_blob_or_an_upload_that_goes_on(domain: Domain) -> None:
    for steps in range(40):
        content = f"content {steps}".encode()
        await domain.create(content)
        upload = await begin(domain, content)
        task = asyncio.create_task(append(domain, upload, content, complete=True))
        for _ in range(steps):
            await asyncio.sleep(0.0005 if steps % 3 == 0 else 0)
        task.cancel()
        await asyncio.wait([task])
        standing = await domain.parts.resumable.standing(RED, upload, caller=ALICE)
        if not standing.state.complete:
            offset = standing.state.offset
            assert (await append(domain, upload, content[offset:], offset=offset, complete=True)).state.complete
    named = {row.key for row in await domain.rows(blobs) if row.state == "stored"}
    assert len(named) == 40
    assert {str(path.relative_to(domain.folder)) for path in await domain.stored_files()} == named
    assert await domain.upload_files() == []


# --- the whole


@pytest.mark.parametrize("sent", [WHOLE[:-1] + b"?", WHOLE[::-1]])
async def test_other_bytes_than_promised_are_gone_as_a_whole(domain: Domain, sent: bytes) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, sent[:5])
    with pytest.raises(DigestMismatch):
        await append(domain, upload, sent[5:], offset=5, complete=True)
    assert (await domain.upload_files(), await domain.stored_files(), await states(domain)) == ([], [], [])
    with pytest.raises(NotFound):
        await offset_of(domain, upload)
    assert ("upload.fail", "digest-mismatch") in await actions(domain)
    again = await begin(domain, WHOLE)
    assert (await append(domain, again, WHOLE, complete=True)).state.complete


async def test_a_complete_upload_says_so_to_whoever_missed_the_answer(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE, complete=True)
    standing = await domain.parts.resumable.standing(RED, upload, caller=ALICE)
    assert (standing.state.offset, standing.state.complete) == (len(WHOLE), True)
    again = await append(domain, upload, WHOLE[5:], offset=5, complete=True)
    assert again.state.complete


async def test_a_blob_that_came_from_elsewhere_completes_the_upload(domain: Domain) -> None:
    await domain.create(WHOLE)
    first, second = await begin(domain, WHOLE), await begin(domain, WHOLE)
    await append(domain, first, WHOLE[:4])
    await append(domain, second, WHOLE[:9])
    await domain.put(WHOLE)
    assert (await domain.parts.resumable.standing(RED, first, caller=ALICE)).state.complete
    assert (await append(domain, second, b"x" * 4, offset=2)).state.complete
    assert await domain.upload_files() == []
    assert len(await domain.stored_files()) == 1
    assert await domain.parts.resumable.begin(RED, Digest.of(WHOLE), len(WHOLE), caller=ALICE) is None


async def test_two_tenants_bring_the_same_bytes_and_one_copy_is_kept(domain: Domain) -> None:
    for tenant in (RED, BLUE):
        await domain.create(WHOLE, tenant=tenant)
    first, second = await begin(domain, WHOLE), await begin(domain, WHOLE, tenant=BLUE)
    await append(domain, first, WHOLE, complete=True)
    assert await offset_of(domain, second, tenant=BLUE) == 0
    await append(domain, second, WHOLE, complete=True, tenant=BLUE)
    assert len(await domain.stored_files()) == 1
    assert await states(domain) == ["complete", "complete"]


async def test_a_blob_that_was_swept_since_makes_the_upload_unknown(domain: Domain) -> None:
    """Else a client would take for stored what it has to bring again."""
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE, complete=True)
    await domain.parts.metadata.write(_lose_blob, Digest.of(WHOLE))
    with pytest.raises(NotFound):
        await domain.parts.resumable.standing(RED, upload, caller=ALICE)


# --- who may


async def test_nobody_else_sees_an_upload(domain: Domain) -> None:
    for tenant in (RED, BLUE):
        await domain.create(WHOLE, tenant=tenant)
    upload = await begin(domain, WHOLE)
    answers = []
    for at, tenant, caller in (
        (upload, RED, BOB),
        (upload, BLUE, ALICE),
        (UploadId.generate(), RED, ALICE),
    ):
        with pytest.raises(NotFound) as refused:
            await offset_of(domain, at, tenant=tenant, caller=caller)
        answers.append(refused.value.detail)
        with pytest.raises(NotFound):
            await append(domain, at, b"x", tenant=tenant, caller=caller)
        with pytest.raises(NotFound):
            await domain.parts.resumable.cancel(tenant, at, caller=caller, anybody=False)
    assert len(set(answers)) == 1
    assert await offset_of(domain, upload) == 0


async def test_a_cancelled_upload_is_gone_with_its_bytes(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    await domain.parts.resumable.cancel(RED, upload, caller=ALICE, anybody=False)
    assert (await domain.upload_files(), await domain.count(uploads)) == ([], 0)
    assert ("upload.cancel", "done") in await actions(domain)
    with pytest.raises(NotFound):
        await domain.parts.resumable.cancel(RED, upload, caller=ALICE, anybody=False)


async def test_an_operator_may_cancel_the_upload_of_somebody_else(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await domain.parts.resumable.cancel(RED, upload, caller=BOB, anybody=True)
    assert await domain.count(uploads) == 0


@pytest.mark.usefixtures("blind")
async def test_a_running_part_is_cut_off_by_a_cancel(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    task, _ = await stall(domain, upload, WHOLE, at=4)
    await domain.parts.resumable.cancel(RED, upload, caller=ALICE, anybody=False)
    with pytest.raises(UploadSuperseded):
        await task
    await domain.parts.resumable.close()
    assert (await domain.upload_files(), await domain.count(uploads)) == ([], 0)


async def test_a_cancel_of_a_complete_upload_leaves_the_blob(domain: Domain) -> None:
    created = await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE, complete=True)
    await domain.parts.resumable.cancel(RED, upload, caller=ALICE, anybody=False)
    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert await domain.read(created) == WHOLE


# --- taking over


@pytest.mark.usefixtures("blind")
async def test_who_asks_for_the_offset_cuts_off_who_is_writing(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    task, _ = await stall(domain, upload, WHOLE, at=6)
    assert await offset_of(domain, upload) == 6
    with pytest.raises(UploadSuperseded):
        await task
    assert (await append(domain, upload, WHOLE[6:], offset=6, complete=True)).state.complete


@pytest.mark.usefixtures("blind")
async def test_the_next_part_cuts_off_the_one_before(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    task, _ = await stall(domain, upload, WHOLE, at=4)
    with pytest.raises(UploadOffsetMismatch) as refused:
        await append(domain, upload, WHOLE, complete=True)
    assert refused.value.expected == 4
    with pytest.raises(UploadSuperseded):
        await task


@pytest.mark.usefixtures("blind")
async def test_of_many_at_once_one_brings_it_to_an_end(domain: Domain) -> None:
    """All begin at the same offset: each is stored, cut off, or told where the upload stands; none mixes bytes."""
    created = await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    tries = (append(domain, upload, WHOLE, complete=True) for _ in range(20))
    results = await asyncio.gather(*tries, return_exceptions=True)
    for result in results:
        assert isinstance(result, (UploadSuperseded, UploadOffsetMismatch)) or not isinstance(result, BaseException)
    standing = await domain.parts.resumable.standing(RED, upload, caller=ALICE)
    if not standing.state.complete:
        await append(domain, upload, WHOLE[standing.state.offset :], offset=standing.state.offset, complete=True)
    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert await domain.read(created) == WHOLE
    assert len(await domain.stored_files()) == 1


async def test_who_completes_an_upload_does_not_take_that_for_a_take_over(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks whether the upload is still its own, also between its last transaction and its answer."""
    await domain.stage(WHOLE, tenant=BLUE)
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    looks = 0
    read, remove = domain.parts.metadata.read, domain.parts.blobs.remove

    async def counted(query: Any, argument: Any) -> Any:
        nonlocal looks
        answer = await read(query, argument)
        looks += query is resumption.find_epoch
        return answer

    async def slow(key: BlobKey) -> None:
        before = looks
        await eventually(lambda: looks > before + 1)
        await remove(key)

    monkeypatch.setattr(upload_writers, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(domain.parts.metadata, "read", counted)
    monkeypatch.setattr(domain.parts.blobs, "remove", slow)
    assert (await append(domain, upload, WHOLE, complete=True)).state.complete


async def test_bytes_that_nobody_lets_go_of_are_told_as_unavailable(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was taken over from hangs: the bytes are neither touched nor miscounted."""
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    hanging = await domain.parts.blobs.resume(upload, key=BlobKey.of(Digest.of(WHOLE), upload=upload))
    assert await hanging.open()
    monkeypatch.setattr(upload_writers, "_WAIT_FOR_BYTES", 0.1)
    with pytest.raises(Unavailable) as refused:
        await append(domain, upload, WHOLE[4:], offset=4, complete=True)
    assert refused.value.retry_after
    assert [row.arrived for row in await domain.rows(uploads)] == [4]
    await hanging.park()
    assert (await append(domain, upload, WHOLE[4:], offset=4, complete=True)).state.complete


# --- bundles come and go


async def test_an_upload_that_nobody_wants_is_not_begun(domain: Domain) -> None:
    with pytest.raises(BlobNotWanted):
        await begin(domain, WHOLE)
    await domain.create(WHOLE)
    with pytest.raises(BlobNotWanted):
        await domain.parts.resumable.begin(RED, Digest.of(WHOLE), 3, caller=ALICE)


async def test_an_upload_outlives_its_bundle_and_goes_on_with_the_next(domain: Domain) -> None:
    created = await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    assert await offset_of(domain, upload) == 4
    with pytest.raises(BlobNotWanted):
        await append(domain, upload, WHOLE[4:], offset=4, complete=True)
    again = await domain.create(WHOLE)
    assert await offset_of(domain, upload) == 4
    await append(domain, upload, WHOLE[4:], offset=4, complete=True)
    await domain.parts.bundles.seal(RED, again.id, caller=ALICE)
    assert await domain.read(again) == WHOLE


async def test_a_bundle_that_ends_within_the_last_part_loses_nothing(domain: Domain) -> None:
    created = await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)

    async def ending() -> AsyncIterator[bytes]:
        yield WHOLE[:4]
        await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
        yield WHOLE[4:]

    part = Part(offset=0, size=len(WHOLE), complete=True)
    with pytest.raises(BlobNotWanted):
        await domain.parts.resumable.append(RED, upload, part, Pieces(ending()), caller=ALICE)
    await domain.create(WHOLE)
    assert await offset_of(domain, upload) == len(WHOLE)
    assert await domain.stored_files() == []
    assert (await append(domain, upload, b"", offset=len(WHOLE), complete=True)).state.complete


# --- limits


async def test_a_namespace_has_a_limit_of_open_uploads(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"open_uploads_per_namespace": 2}) as domain:
        await domain.create(b"1", b"2", b"3")
        await domain.create(b"1", tenant=BLUE)
        first = await begin(domain, b"1")
        await begin(domain, b"2")
        with pytest.raises(TooManyRequests) as refused:
            await begin(domain, b"3")
        assert refused.value.retry_after
        await begin(domain, b"1", tenant=BLUE)
        await append(domain, first, b"1", complete=True)
        await begin(domain, b"3")


async def test_an_upload_that_nobody_wants_makes_room_for_one_that_is_wanted(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"open_uploads_per_namespace": 2}) as domain:
        over = await domain.create(b"1", b"2")
        first, second = await begin(domain, b"1"), await begin(domain, b"2")
        domain.clock.move(minutes=1)
        await append(domain, first, b"", offset=0)
        await domain.parts.bundles.delete(RED, over.id, caller=ALICE)
        await domain.create(b"3")
        await begin(domain, b"3")
        assert await offset_of(domain, first) == 0
        with pytest.raises(NotFound):
            await offset_of(domain, second)


async def test_under_a_quota_bytes_count_that_no_bundle_reserves(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"namespace_size": 100}) as domain:
        contents = [bytes([letter]) * 30 for letter in b"abc"]
        over = await domain.create(*contents)
        part = {content: await begin(domain, content) for content in contents}
        for content in contents:
            await append(domain, part[content], content[:20])
            domain.clock.move(minutes=1)
        await domain.parts.bundles.delete(RED, over.id, caller=ALICE)
        await domain.create(b"d" * 40)  # 3 x 20 bytes that came, and 40 that will
        assert await states(domain) == ["open", "open", "open"]
        await domain.create(contents[0], b"e")  # the first one is wanted again, so the second one goes
        kept = {row.id for row in await domain.rows(uploads) if row.state == "open"}
        assert kept == {part[contents[0]], part[contents[2]]}
        await domain.sweep()
        assert len(await domain.upload_files()) == 2
        with pytest.raises(QuotaExceeded):
            await domain.create(b"f" * 60)
        assert ("upload.expire", "done") in await actions(domain)


async def test_without_a_quota_nothing_makes_room(domain: Domain) -> None:
    over = await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    await domain.parts.bundles.delete(RED, over.id, caller=ALICE)
    await domain.create(b"x" * 1_000_000)
    assert await offset_of(domain, upload) == 4


async def test_a_file_over_the_limit_and_a_full_disk_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_domain(tmp_path, limits={"disk_high_water": 0.9, "file_size": 500}) as domain:
        with pytest.raises(TooLarge):
            await domain.parts.resumable.begin(RED, Digest.of(b""), 501, caller=ALICE)
        content = b"x" * 200
        await domain.create(content)
        upload = await begin(domain, content)

        async def space() -> Space:
            return Space(total=1000, free=150)

        monkeypatch.setattr(domain.parts.blobs, "space", space)
        domain.parts.uploads._room._seen_at = float("-inf")
        with pytest.raises(NoSpace):
            await append(domain, upload, content[:51])
        assert (await append(domain, upload, content[:50])).state.offset == 50


# --- time


async def test_an_abandoned_upload_expires_with_its_bytes(tmp_path: Path) -> None:
    async with open_domain(tmp_path, retention={"upload_keep": 3600}) as domain:
        await domain.create(WHOLE, b"other")
        old, young = await begin(domain, WHOLE), await begin(domain, b"other")
        await append(domain, old, WHOLE[:4])
        domain.clock.move(minutes=30)
        await append(domain, young, b"ne")
        domain.clock.move(minutes=30)
        await age_files(domain.folder)
        await domain.sweep()
        assert [path.name for path in await domain.upload_files()] == [young]
        with pytest.raises(NotFound):
            await offset_of(domain, old)
        assert await offset_of(domain, young) == 2
        domain.clock.move(hours=1)
        await domain.sweep()
        assert (await domain.upload_files(), await domain.count(uploads)) == ([], 0)
        assert (await actions(domain)).count(("upload.expire", "done")) == 2


async def test_an_offset_that_is_asked_for_keeps_the_upload(tmp_path: Path) -> None:
    async with open_domain(tmp_path, retention={"upload_keep": 3600}) as domain:
        await domain.create(WHOLE)
        upload = await begin(domain, WHOLE)
        await append(domain, upload, WHOLE[:4])
        for _ in range(26):  # longer than an upload of a whole blob may take
            domain.clock.move(minutes=59)
            assert await offset_of(domain, upload) == 4
        await domain.sweep()
        assert (await append(domain, upload, WHOLE[4:], offset=4, complete=True)).state.complete


async def test_an_upload_that_goes_on_while_the_sweep_looks_at_it_stays(domain: Domain) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    before = domain.clock.now
    domain.clock.move(minutes=1)
    assert await offset_of(domain, upload) == 0
    lease = SweepLease("a sweep")
    await domain.parts.metadata.write(one_by_one(leases.take), lease)
    idle = Idle(id=upload, until=before, now=domain.clock.now, caller=SWEEPER, lease=lease)
    assert not await domain.parts.metadata.write(one_by_one(upload_endings.expire), idle)
    assert await offset_of(domain, upload) == 0


async def test_that_an_upload_was_complete_is_forgotten_after_a_while(tmp_path: Path) -> None:
    async with open_domain(tmp_path, retention={"upload_keep": 3600}) as domain:
        created = await domain.create(WHOLE)
        upload = await begin(domain, WHOLE)
        await append(domain, upload, WHOLE, complete=True)
        domain.clock.move(minutes=59)
        await domain.sweep()
        assert await states(domain) == ["complete"]
        domain.clock.move(minutes=1)
        await domain.sweep()
        assert await domain.count(uploads) == 0
        assert ("upload.expire", "done") not in await actions(domain)
        await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await domain.read(created) == WHOLE


async def test_a_sweep_spares_bytes_that_wait_for_their_next_part(domain: Domain) -> None:
    """Nobody has their lock, and they are old: only the row tells them from what a crash left."""
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    left = domain.folder / "uploads" / UploadId.generate()
    await asyncio.to_thread(left.write_bytes, b"left")
    await age_files(domain.folder)
    await domain.sweep()
    assert [path.name for path in await domain.upload_files()] == [upload]
    assert await offset_of(domain, upload) == 4


# --- crashes


async def test_a_crash_between_commit_and_row_loses_nothing(domain: Domain) -> None:
    created = await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE)
    key = BlobKey.of(Digest.of(WHOLE), upload=upload)
    source, target = domain.folder / "uploads" / upload, domain.folder / key
    await asyncio.to_thread(source.rename, target)
    await age_files(domain.folder)
    await domain.sweep()
    await domain.parts.sweeper.leftovers.remove_strays(folders=256)
    assert await offset_of(domain, upload) == len(WHOLE)
    await append(domain, upload, b"", offset=len(WHOLE), complete=True)
    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert await domain.read(created) == WHOLE


async def test_bytes_that_no_row_knew_of_count_after_a_crash(domain: Domain) -> None:
    """The process died after it wrote a part and before it wrote that down: the file is the truth."""
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    path = domain.folder / "uploads" / upload
    await asyncio.to_thread(path.write_bytes, WHOLE[:9])
    assert await offset_of(domain, upload) == 9
    assert [row.arrived for row in await domain.rows(uploads)] == [9]
    assert (await append(domain, upload, WHOLE[9:], offset=9, complete=True)).state.complete


async def test_bytes_that_were_not_ours_never_become_a_blob(domain: Domain) -> None:
    """After a power cut a file system may show zeros where it promised nothing."""
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE[:4])
    path = domain.folder / "uploads" / upload
    await asyncio.to_thread(path.write_bytes, WHOLE[:4] + b"\0\0\0")
    assert await offset_of(domain, upload) == 7
    with pytest.raises(DigestMismatch):
        await append(domain, upload, WHOLE[7:], offset=7, complete=True)
    assert (await domain.stored_files(), await domain.count(uploads)) == ([], 0)


@pytest.mark.parametrize("where", ["uploads", "key", "nowhere"])
async def test_an_end_that_was_cut_short_is_finished_by_the_sweep(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)
    await append(domain, upload, WHOLE)
    path = domain.folder / "uploads" / upload

    async def dies(_upload: UploadId) -> None:
        raise Unavailable("died")

    with monkeypatch.context() as dying:
        dying.setattr(domain.parts.blobs, "forget", dies)
        with pytest.raises(Unavailable, match="died"):
            await domain.parts.resumable.cancel(RED, upload, caller=ALICE, anybody=False)
    assert await states(domain) == ["ended"]
    with pytest.raises(NotFound):
        await offset_of(domain, upload)
    if where == "key":
        await asyncio.to_thread(path.rename, domain.folder / BlobKey.of(Digest.of(WHOLE), upload=upload))
    elif where == "nowhere":
        await asyncio.to_thread(path.unlink)
    await domain.sweep()
    assert (await domain.upload_files(), await domain.stored_files(), await domain.count(uploads)) == ([], [], 0)


async def test_a_second_copy_that_a_crash_left_goes_with_its_row(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant's bytes were verified, another tenant had them stored already, and then the process died."""
    first = await domain.stage(WHOLE, tenant=BLUE)
    await domain.create(WHOLE)
    upload = await begin(domain, WHOLE)

    async def dies(_key: BlobKey) -> None:
        raise Unavailable("died")

    with monkeypatch.context() as dying:
        dying.setattr(domain.parts.blobs, "remove", dies)
        with pytest.raises(Unavailable, match="died"):
            await append(domain, upload, WHOLE, complete=True)
    assert len(await domain.stored_files()) == 2
    assert (await domain.parts.resumable.standing(RED, upload, caller=ALICE)).state.complete
    domain.clock.move(days=1)
    await domain.sweep()
    assert len(await domain.stored_files()) == 1
    assert await domain.read(first, tenant=BLUE) == WHOLE


async def test_open_uploads_can_be_counted(domain: Domain) -> None:
    await domain.create(b"1" * 10, b"2" * 10)
    await append(domain, await begin(domain, b"1" * 10), b"1" * 7)
    await append(domain, await begin(domain, b"2" * 10), b"2" * 10, complete=True)
    assert await domain.parts.resumable.usage() == (1, 7)


def _lose_blob(connection: Connection, digests: Sequence[Digest]) -> list[None]:
    connection.execute(delete(tenant_blobs).where(tenant_blobs.c.digest.in_(map(str, digests))))
    return [None] * len(digests)
