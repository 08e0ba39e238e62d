"""Receiving on a thread: every byte that came is kept, and whatever ends it ends it soon."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, NoSpace, RequestTimeout, StagingError
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobWriter
from staging_server.blobs.local import LocalBlobs
from staging_server.settings import TimeoutSettings
from staging_server.uploads.intake import Helpers, Intake, Line, Stopped
from staging_server.uploads.patience import Patience
from staging_server.uploads.receiving import Receiver, verify
from tests.staging_server.domain import Pieces, chunks_of
from tests.staging_server.live import eventually

_CONTENT = os.urandom(1024) * 700 + b"the end"
_PATIENT = TimeoutSettings()
_HASTY = TimeoutSettings(stall=0.2)


@dataclass
class Wire:
    """A client's end, and the server's, of which `count` bytes of a body are expected after `before`."""

    client: socket.socket
    server: socket.socket
    taken: int = 0

    def line(self, *before: bytes, count: int, timeouts: TimeoutSettings = _PATIENT) -> Line:
        return Line(
            connection=self.server.fileno(), before=before, count=count, patience=Patience(timeouts), took=self.took
        )

    def took(self, taken: int) -> None:
        self.taken = taken

    async def send(self, content: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.client, content)


class Straight(Pieces):
    """A body on a wire."""

    def __init__(self, line: Line) -> None:
        super().__init__(chunks_of().chunks())
        self._line = line

    @asynccontextmanager
    async def straight(self, _size: int) -> AsyncIterator[Line]:  # type: ignore[override]
        yield self._line


@pytest.fixture
def wire() -> Iterator[Wire]:
    client, server = socket.socketpair()
    client.setblocking(False)
    server.setblocking(False)
    with client, server:
        yield Wire(client, server)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalBlobs]:
    blobs = LocalBlobs(tmp_path)
    await blobs.prepare()
    yield blobs
    await blobs.close()


@pytest.fixture
async def writer(store: LocalBlobs) -> AsyncIterator[BlobWriter]:
    made = await store.create(UploadId.generate())
    yield made
    await made.cancel()


@pytest.fixture(params=[True, False], ids=["hash beside", "hash in turn"])
def helpers(request: pytest.FixtureRequest) -> Iterator[Helpers]:
    with ThreadPoolExecutor(2) as threads:
        yield Helpers(threads=threads, spare=lambda: request.param)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver(most=2, batch=64 * 1024)
    yield made
    await made.close()


@contextmanager
def intake_of(line: Line, writer: BlobWriter, helpers: Helpers) -> Iterator[Intake]:
    intake = Intake(line, writer, piece=10_000, helpers=helpers)
    yield intake
    intake.close()


async def test_all_bytes_are_written_and_hashed(wire: Wire, writer: BlobWriter, helpers: Helpers) -> None:
    line = wire.line(_CONTENT[:5], b"", _CONTENT[5:77_777], count=len(_CONTENT) - 77_777)
    with intake_of(line, writer, helpers) as intake:
        running = asyncio.create_task(asyncio.to_thread(intake.run))
        await wire.send(_CONTENT[77_777:] + b"the next request")
        await running
        assert intake.taken == len(_CONTENT) - 77_777
    await verify(writer, digest=Digest.of(_CONTENT), size=len(_CONTENT))
    assert wire.server.recv(100) == b"the next request"


async def test_a_body_that_came_whole_before_is_only_stored(wire: Wire, writer: BlobWriter, helpers: Helpers) -> None:
    with intake_of(wire.line(b"all", b" of it", count=0), writer, helpers) as intake:
        await asyncio.to_thread(intake.run)
    await verify(writer, digest=Digest.of(b"all of it"), size=9)


async def test_a_client_that_stalls_is_given_up_and_what_it_sent_is_kept(
    wire: Wire, writer: BlobWriter, helpers: Helpers
) -> None:
    with intake_of(wire.line(count=100_000, timeouts=_HASTY), writer, helpers) as intake:
        await wire.send(b"x" * 25_000)
        with pytest.raises(RequestTimeout):
            await asyncio.to_thread(intake.run)
    await verify(writer, digest=Digest.of(b"x" * 25_000), size=25_000)


async def test_a_client_that_sends_a_byte_now_and_then_is_given_up(
    wire: Wire, writer: BlobWriter, helpers: Helpers
) -> None:
    timeouts = TimeoutSettings(stall=0.3, slowest_rate=1_000_000)
    with intake_of(wire.line(count=100_000, timeouts=timeouts), writer, helpers) as intake:
        running = asyncio.create_task(asyncio.to_thread(intake.run))

        async def drip() -> None:
            while not running.done():
                await wire.send(b"x")
                await asyncio.sleep(0.02)

        async with asyncio.timeout(30):
            await drip()
        with pytest.raises(RequestTimeout):
            await running


async def test_a_client_that_leaves_is_told_apart_and_what_it_sent_is_kept(
    wire: Wire, writer: BlobWriter, helpers: Helpers
) -> None:
    with intake_of(wire.line(count=100_000), writer, helpers) as intake:
        await wire.send(b"x" * 25_000)
        wire.client.close()
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(intake.run)
    await verify(writer, digest=Digest.of(b"x" * 25_000), size=25_000)


async def test_a_stop_ends_it_at_once_and_what_came_is_kept(wire: Wire, writer: BlobWriter, helpers: Helpers) -> None:
    with intake_of(wire.line(count=100_000), writer, helpers) as intake:
        running = asyncio.create_task(asyncio.to_thread(intake.run))
        await wire.send(b"x" * 25_000)
        await eventually(lambda: intake.taken == 25_000)
        intake.stop()
        with pytest.raises(Stopped):
            await asyncio.wait_for(running, timeout=5)
    await verify(writer, digest=Digest.of(b"x" * 25_000), size=25_000)


async def test_a_full_disk_ends_it(
    wire: Wire, writer: BlobWriter, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _views: object) -> int:
        raise OSError(28, "No space left on device")

    with intake_of(wire.line(count=100_000), writer, helpers) as intake, monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        await wire.send(b"x" * 25_000)
        with pytest.raises(NoSpace):
            await asyncio.to_thread(intake.run)
    assert writer.size == 0
    # The hash may be ahead of the file; the digest is that of what was written.
    writer.write_now(memoryview(b"again"))
    assert await writer.digest() == Digest.of(b"again")


@pytest.mark.parametrize("way", ["straight", "by chunks"])
async def test_who_is_cancelled_has_kept_what_came(
    wire: Wire, writer: BlobWriter, receiver: Receiver, way: str
) -> None:
    sent = _CONTENT[:200_000]

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), 1000):
            yield sent[start : start + 1000]
        wire.took(len(sent))
        await asyncio.Event().wait()

    body = Straight(wire.line(count=len(_CONTENT))) if way == "straight" else Pieces(pieces())
    running = asyncio.create_task(receiver.receive(writer, body, size=len(_CONTENT)))
    if way == "straight":
        await wire.send(sent)
    await eventually(lambda: wire.taken == len(sent))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, timeout=5)
    await verify(writer, digest=Digest.of(sent), size=len(sent))


async def test_a_body_by_chunks_that_breaks_off_is_kept_so_far(writer: BlobWriter, receiver: Receiver) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await receiver.receive(writer, Pieces(pieces()), size=10)
    await verify(writer, digest=Digest.of(b"some"), size=4)


async def test_a_failing_write_ends_the_wait_for_the_next_chunk(
    writer: BlobWriter, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(_chunks: object) -> None:
        raise NoSpace("full")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        await asyncio.Event().wait()

    monkeypatch.setattr(writer, "write", failing)
    with pytest.raises(StagingError) as failed:
        await asyncio.wait_for(receiver.receive(writer, Pieces(pieces()), size=200_000), timeout=5)
    assert isinstance(failed.value, NoSpace)


async def test_more_bytes_than_promised_are_refused(writer: BlobWriter, receiver: Receiver) -> None:
    with pytest.raises(DigestMismatch):
        await receiver.receive(writer, chunks_of(b"1234", b"5"), size=4)
