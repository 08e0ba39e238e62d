"""The race of DESIGN 7: a create is answered `held` while a sweep is about to delete that very blob.

Each test stops the sweep at one step, lets the other side act, and lets the sweep go on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.api.creation import CreatedBundle
from staging_protocol.digests import Digest
from staging_server.blobs.base import BlobKey
from staging_server.metadata.tables import blobs
from staging_server.retention import sweep_blobs
from tests.staging_server.domain import ALICE, BLUE, RED, Domain, open_domain

CONTENT = b"wanted by two sides"


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[Domain]:
    """A blob that the next sweep deletes: no bundle has it, and its tenant has given it up long ago."""
    async with open_domain(tmp_path) as opened:
        created = await opened.stage(CONTENT)
        await opened.parts.bundles.delete(RED, created.id, caller=ALICE)
        opened.clock.move(days=7)
        await opened.sweep()
        opened.clock.move(days=2)
        yield opened


async def sweep_interrupted(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, *, before: str, act: Callable[[], Awaitable[object]]
) -> None:
    """Sweep, and run `act` just before the operation `before` of the sweep is written."""
    operation = getattr(sweep_blobs, before)
    metadata = domain.parts.metadata
    real = metadata.write
    acted = False

    async def write(chosen: Any, item: Any) -> Any:
        nonlocal acted
        if chosen is operation and not acted:
            acted = True
            await act()
        return await real(chosen, item)

    with monkeypatch.context() as patched:
        patched.setattr(metadata, "write", write)
        await domain.sweep()
    assert acted


async def test_a_create_between_the_look_and_the_lock_keeps_the_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant's claim is due, the sweep has seen that; then a create is answered `held`."""
    async with open_domain(tmp_path) as domain:
        first = await domain.stage(CONTENT)
        await domain.parts.bundles.delete(RED, first.id, caller=ALICE)
        domain.clock.move(days=7)
        created: list[CreatedBundle] = []

        async def create() -> None:
            created.append(await domain.create(CONTENT))

        await sweep_interrupted(domain, monkeypatch, before="_give_up", act=create)
        assert created[0].files == ("held",)
        for _ in range(3):
            domain.clock.move(days=2)
            await domain.sweep()
        assert await domain.read(created[0]) == CONTENT


async def test_an_upload_before_the_mark_keeps_the_blob(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep has seen the blob as due; then another tenant brings the same bytes and owns it."""
    staged: list[CreatedBundle] = []

    async def stage() -> None:
        staged.append(await domain.stage(CONTENT, tenant=BLUE))

    await sweep_interrupted(domain, monkeypatch, before="_mark", act=stage)
    assert await domain.read(staged[0], tenant=BLUE) == CONTENT


async def test_a_create_before_the_mark_keeps_the_bytes(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of an open bundle names the digest: its foreign key and the second look keep the blob."""

    async def create() -> None:
        assert (await domain.create(CONTENT)).files == ("wanted",)

    await sweep_interrupted(domain, monkeypatch, before="_mark", act=create)
    assert [row.state for row in await domain.rows(blobs)] == ["stored"]
    assert len(await domain.stored_files()) == 1


async def test_deleting_is_answered_as_wanted_and_the_row_stays(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[CreatedBundle] = []

    async def create() -> None:
        created.append(await domain.create(CONTENT))

    await sweep_interrupted(domain, monkeypatch, before="_forget", act=create)
    assert created[0].files == ("wanted",)
    assert [row.state for row in await domain.rows(blobs)] == ["wanted"]
    assert await domain.stored_files() == []
    await domain.put(CONTENT)
    await domain.parts.bundles.seal(RED, created[0].id, caller=ALICE)
    assert await domain.read(created[0]) == CONTENT


async def test_an_upload_while_deleting_lives_under_its_own_key(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[CreatedBundle] = []

    async def stage() -> None:
        staged.append(await domain.stage(CONTENT))

    await sweep_interrupted(domain, monkeypatch, before="_forget", act=stage)
    assert staged[0].files == ("wanted",)
    assert await domain.read(staged[0]) == CONTENT
    assert len(await domain.stored_files()) == 1


async def test_creates_and_sweeps_that_run_wild_never_lose_a_held_blob(tmp_path: Path) -> None:
    """Whatever the order: what was answered as held, and is sealed, can be read."""
    async with open_domain(tmp_path, retention={"blob_keep": 0.000_001, "blob_grace": 0}) as domain:
        contents = [bytes([number]) * 100 for number in range(4)]
        running = True

        async def sweep() -> None:
            while running:
                domain.clock.move(microseconds=10)
                await domain.sweep()

        async def use(content: bytes) -> None:
            for _ in range(8):
                created = await domain.create(content)
                if not created.sealed:
                    await domain.put(content)
                    await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
                assert await domain.read(created) == content
                await domain.parts.bundles.delete(RED, created.id, caller=ALICE)

        sweeping = asyncio.create_task(sweep())
        await asyncio.gather(*(use(content) for content in contents for _ in range(2)))
        running = False
        await sweeping
        domain.clock.move(days=1)
        await domain.sweep()
        domain.clock.move(days=1)
        await domain.sweep()
        assert await domain.stored_files() == []
        assert await domain.count(blobs) == 0


def test_the_key_of_a_blob_tells_its_digest() -> None:
    assert BlobKey("sha256/" + "ab/" + "ab" * 32 + "." + "a" * 26).digest == Digest("sha256:" + "ab" * 32)
