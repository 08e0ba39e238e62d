"""Uploads: refused before a byte is read, verified before the blob exists."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import (
    BlobNotWanted,
    DigestMismatch,
    NoSpace,
    NotFound,
    QuotaExceeded,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from staging_server.blobs.base import Space
from staging_server.metadata.tables import blobs, tenant_blobs, uploads
from tests.staging_server.domain import ALICE, BLUE, RED, Domain, Pieces, chunks_of, open_domain


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[Domain]:
    async with open_domain(tmp_path) as opened:
        yield opened


async def nothing_is_left(domain: Domain) -> bool:
    return not (await domain.upload_files()) and not (await domain.stored_files()) and await domain.count(uploads) == 0


async def test_verified_bytes_become_the_blob(domain: Domain) -> None:
    created = await domain.create(b"content")
    await domain.put(b"content")
    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert await domain.read(created) == b"content"
    assert await domain.count(uploads) == 0
    assert await domain.upload_files() == []


async def test_a_large_upload_goes_through_in_many_batches(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    async with open_domain(tmp_path, storage={"write_buffer": 10_000, "flush_every": 100_000}) as domain:
        created = await domain.create(content)
        pieces = [content[start : start + 3333] for start in range(0, len(content), 3333)]
        await domain.parts.uploads.put(RED, Digest.of(content), len(content), chunks_of(*pieces), caller=ALICE)
        await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await domain.read(created) == content


@pytest.mark.parametrize("sent", [b"con", b"contentt", b"CONTENT", b""])
async def test_other_bytes_than_promised_are_refused_and_leave_nothing(domain: Domain, sent: bytes) -> None:
    await domain.create(b"content")
    with pytest.raises(DigestMismatch):
        await domain.parts.uploads.put(RED, Digest.of(b"content"), 7, chunks_of(sent), caller=ALICE)
    assert await nothing_is_left(domain)
    await domain.put(b"content")


async def test_an_upload_that_nobody_wants_is_refused_before_its_bytes(domain: Domain) -> None:
    async def never() -> AsyncIterator[bytes]:
        pytest.fail("a byte was read")
        yield b""

    with pytest.raises(BlobNotWanted):
        await domain.parts.uploads.put(RED, Digest.of(b"x"), 1, Pieces(never()), caller=ALICE)
    await domain.create(b"x", tenant=BLUE)
    with pytest.raises(BlobNotWanted):
        await domain.parts.uploads.put(RED, Digest.of(b"x"), 1, Pieces(never()), caller=ALICE)


async def test_a_size_that_no_bundle_named_is_refused(domain: Domain) -> None:
    await domain.create(b"content")
    with pytest.raises(BlobNotWanted):
        await domain.parts.uploads.check(RED, Digest.of(b"content"), 8)


async def test_a_blob_that_is_held_need_not_be_read_again(domain: Domain) -> None:
    await domain.stage(b"content")
    assert (await domain.parts.uploads.check(RED, Digest.of(b"content"), 7)).held
    await domain.parts.uploads.put(RED, Digest.of(b"content"), 7, chunks_of(b"other"), caller=ALICE)


async def test_two_tenants_bring_the_same_bytes_and_one_copy_is_kept(domain: Domain) -> None:
    first = await domain.stage(b"shared")
    await domain.create(b"shared", tenant=BLUE)
    with pytest.raises(DigestMismatch):
        await domain.parts.uploads.put(BLUE, Digest.of(b"shared"), 6, chunks_of(b"guess!"), caller=ALICE)
    second = await domain.stage(b"shared", tenant=BLUE)
    assert len(await domain.stored_files()) == 1
    assert await domain.count(tenant_blobs) == 2
    assert await domain.count(uploads) == 0
    await domain.parts.bundles.delete(RED, first.id, caller=ALICE)
    assert await domain.read(second, tenant=BLUE) == b"shared"


async def test_the_same_upload_many_times_at_once_keeps_one_copy(domain: Domain) -> None:
    created = await domain.create(b"content")
    await asyncio.gather(*(domain.put(b"content") for _ in range(10)))
    assert len(await domain.stored_files()) == 1
    assert await domain.count(uploads) == 0
    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert (await domain.parts.overview.usage(RED)).namespaces[0].blob_size == 7


async def test_an_upload_whose_bundle_ended_meanwhile_leaves_nothing(domain: Domain) -> None:
    created = await domain.create(b"content")

    async def slow() -> AsyncIterator[bytes]:
        yield b"cont"
        await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
        yield b"ent"

    with pytest.raises(BlobNotWanted):
        await domain.parts.uploads.put(RED, Digest.of(b"content"), 7, Pieces(slow()), caller=ALICE)
    assert await nothing_is_left(domain)


async def test_a_client_that_goes_away_leaves_nothing(domain: Domain) -> None:
    await domain.create(b"content")
    begun = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield b"cont"
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(
        domain.parts.uploads.put(RED, Digest.of(b"content"), 7, Pieces(stalling()), caller=ALICE)
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await domain.parts.uploads.close()
    assert await nothing_is_left(domain)
    assert domain.parts.uploads.in_flight == 0


async def test_a_cancel_at_any_step_leaves_a_blob_or_nothing(domain: Domain) -> None:
    """Whoever is cancelled while the row is written must not take the bytes of a committed row away."""
    for steps in range(40):
        content = f"content {steps}".encode()
        await domain.create(content)
        task = asyncio.create_task(domain.put(content))
        for _ in range(steps):
            await asyncio.sleep(0.0005 if steps % 3 == 0 else 0)
        task.cancel()
        await asyncio.wait([task])
        await domain.parts.uploads.close()
    named = {row.key for row in await domain.rows(blobs) if row.state == "stored"}
    assert {str(path.relative_to(domain.folder)) for path in await domain.stored_files()} == named
    assert await domain.upload_files() == []


async def test_places_are_limited_for_all_and_for_each_namespace(tmp_path: Path) -> None:
    limits = {"uploads_in_flight": 2, "uploads_per_namespace": 1, "upload_wait": 0.1}
    async with open_domain(tmp_path, limits=limits) as domain:
        for tenant in (RED, BLUE):
            await domain.create(b"1", b"2", tenant=tenant)
        begun, release = asyncio.Event(), asyncio.Event()

        async def held_open() -> AsyncIterator[bytes]:
            begun.set()
            await release.wait()
            yield b"1"

        put = domain.parts.uploads.put
        first = asyncio.create_task(put(RED, Digest.of(b"1"), 1, Pieces(held_open()), caller=ALICE))
        await begun.wait()
        with pytest.raises(TooManyRequests) as refused:
            await domain.put(b"2")
        assert refused.value.retry_after
        await domain.put(b"2", tenant=BLUE)
        release.set()
        await first
        await domain.put(b"2")


async def test_a_file_over_the_limit_and_a_disk_over_high_water_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_domain(tmp_path, limits={"disk_high_water": 0.9, "file_size": 500}) as domain:
        with pytest.raises(TooLarge):
            await domain.parts.uploads.check(RED, Digest.of(b""), 501)

        async def space() -> Space:
            return Space(total=1000, free=150)

        monkeypatch.setattr(domain.parts.blobs, "space", space)
        await domain.create(b"x" * 50, b"x" * 51)
        assert not (await domain.parts.uploads.check(RED, Digest.of(b"x" * 50), 50)).held
        with pytest.raises(NoSpace):
            await domain.parts.uploads.check(RED, Digest.of(b"x" * 51), 51)


async def test_bytes_are_reserved_at_create_and_given_back(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"namespace_size": 100}) as domain:

        async def standing() -> tuple[int, int]:
            (usage,) = (await domain.parts.overview.usage(RED)).namespaces
            return usage.blob_size, usage.reserved

        created = await domain.create(b"a" * 60, b"b" * 10)
        assert await standing() == (0, 70)
        with pytest.raises(QuotaExceeded):
            await domain.create(b"c" * 31)
        await domain.put(b"a" * 60)
        assert await standing() == (60, 10)
        await domain.put(b"b" * 10)
        await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
        assert await standing() == (70, 0)
        other = await domain.create(b"c" * 30)
        assert await standing() == (70, 30)
        await domain.parts.bundles.delete(RED, other.id, caller=ALICE)
        assert await standing() == (70, 0)


async def test_two_bundles_that_want_the_same_bytes_give_both_back(domain: Domain) -> None:
    await domain.create(b"same", b"one")
    await domain.create(b"same", b"two")
    await domain.put(b"same")
    (usage,) = (await domain.parts.overview.usage(RED)).namespaces
    assert (usage.blob_size, usage.reserved) == (4, 6)


async def test_under_a_quota_the_longest_unused_blobs_make_room(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"namespace_size": 100}) as domain:
        for content in (b"a" * 30, b"b" * 30, b"c" * 30):
            created = await domain.stage(content)
            if content[:1] != b"c":
                await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
            domain.clock.move(hours=1)
        await domain.create(b"d" * 40)
        held = {row.digest for row in await domain.rows(tenant_blobs)}
        assert held == {Digest.of(b"b" * 30), Digest.of(b"c" * 30)}
        with pytest.raises(QuotaExceeded):
            await domain.create(b"e" * 31)


async def test_an_upload_after_closing_says_that_the_server_ends(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain:
        await domain.create(b"content")
        await domain.parts.metadata.close()
        with pytest.raises(Unavailable):
            await domain.put(b"content")


async def test_lost_bytes_are_told_and_not_served(domain: Domain) -> None:
    created = await domain.stage(b"content")
    for path in await domain.stored_files():
        await asyncio.to_thread(path.unlink)
    with pytest.raises(NotFound):
        await domain.read(created)
