"""The memory of bodies on their way: bounded for all uploads together, and for each."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch
from staging_server.blobs.base import BlobKey
from staging_server.buffers import Buffers
from staging_server.transfer import AHEAD, transfer
from tests.staging_server.domain import Pieces, chunks_of


class HeldWriter:
    """A `BlobWriter` that is busy until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.written = bytearray()

    @property
    def size(self) -> int:
        return len(self.written)

    async def write(self, data: bytes | memoryview) -> None:
        self.waiting += 1
        await self.go_on.wait()
        self.written += data

    async def digest(self) -> Digest:
        return Digest.of(bytes(self.written))

    async def commit(self, key: BlobKey) -> None:
        raise NotImplementedError

    async def cancel(self) -> None:
        raise NotImplementedError


async def until_idle() -> None:
    """Let everything go on that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_never_more_buffers_are_in_use_than_there_are() -> None:
    buffers = Buffers(count=2, size=4096)
    first, _ = await buffers.take(), await buffers.take()
    third = asyncio.create_task(buffers.take())
    await until_idle()
    assert not third.done()
    buffers.give_back(first)
    assert await third is first


async def test_who_asks_first_gets_a_buffer_first() -> None:
    buffers = Buffers(count=1, size=4096)
    only = await buffers.take()
    got: list[int] = []

    async def ask(number: int) -> None:
        buffer = await buffers.take()
        got.append(number)
        buffers.give_back(buffer)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(ask(number))
        await until_idle()
        buffers.give_back(only)
    assert got == [0, 1, 2, 3, 4]


async def test_an_upload_has_at_most_the_buffers_that_it_may_be_ahead_however_large_it_is() -> None:
    buffers, writer = Buffers(count=100, size=4096), HeldWriter()
    content = bytes(range(256)) * 4096
    going = asyncio.create_task(transfer(chunks_of(content), writer, buffers=buffers, size=len(content)))
    await until_idle()
    assert writer.waiting == AHEAD
    writer.go_on.set()
    await going
    assert writer.written == content


async def test_uploads_that_share_one_buffer_all_end() -> None:
    buffers = Buffers(count=1, size=4096)
    writers = [HeldWriter() for _ in range(3)]
    content = bytes(range(256)) * 100
    for writer in writers:
        writer.go_on.set()
    bodies = [chunks_of(content) for _ in writers]
    async with asyncio.timeout(10):
        await asyncio.gather(
            *(
                transfer(body, writer, buffers=buffers, size=len(content))
                for body, writer in zip(bodies, writers, strict=True)
            )
        )
    assert [bytes(writer.written) for writer in writers] == [content] * 3


@pytest.mark.parametrize("ends", ["body", "size", "cancel"])
async def test_all_buffers_come_back_however_an_upload_ends(ends: str) -> None:
    buffers, writer = Buffers(count=3, size=4096), HeldWriter()
    blocked = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(4096)
        if ends == "body":
            raise ConnectionResetError
        if ends == "cancel":
            await blocked.wait()
        yield bytes(4096)

    going = asyncio.create_task(transfer(Pieces(pieces()), writer, buffers=buffers, size=5000))
    await until_idle()
    if ends == "cancel":
        going.cancel()
    writer.go_on.set()
    with pytest.raises((ConnectionResetError, DigestMismatch, asyncio.CancelledError)):
        await going
    async with asyncio.timeout(10):
        for _ in range(3):
            await buffers.take()
