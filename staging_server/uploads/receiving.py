"""Bytes from the network to a blob's writer.

    straight     plain HTTP, from about 1 MiB on: a thread takes the bytes from the socket itself (`intake`)
    by chunks    what comes through the parser: over TLS, and small bodies.  While one batch is hashed and written on a
                 thread, the next one is collected

Either way an upload's memory does not depend on the size of the file, and every byte that came is written, also when
the rest does not come: an upload in parts goes on from there.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, Self

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch
from staging_server.blobs.base import BlobWriter, ByteWriter
from staging_server.uploads.intake import Helpers, Intake, Line
from staging_server.uploads.places import Presence

_LOOK: Final = 0.05
"""Seconds between two looks at how far a thread is."""

_PIECE: Final = 256 * 1024
"""Bytes of a buffer of the straight way: what is received, hashed and written while it is in the processor's cache."""


class Body(Presence, Protocol):
    """The body of a request, of which nothing is asked before one of these is called."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they arrive, in pieces of any size.

        Raises:
            RequestTimeout: they do not come in time.
            ConnectionResetError: the client is gone.
        """
        ...

    def straight(self, size: int) -> AbstractAsyncContextManager[Line | None]:
        """Give the connection to a thread for the `size` bytes of the body; None where that is not possible.

        No thread may use it any more when the context ends.
        """
        ...


class Receiver:
    """Receives bodies into writers; owns the threads for that, `close` ends them."""

    def __init__(self, *, most: int, batch: int) -> None:
        """At most `most` bodies come at once; `batch` is in bytes."""
        self._batch = batch
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="intake")
        self._processors = len(os.sched_getaffinity(0))
        hashing = ThreadPoolExecutor(self._processors, thread_name_prefix="hash")
        self._helpers = Helpers(threads=hashing, spare=self._is_spare)
        self._running = 0

    async def receive(self, writer: ByteWriter, body: Body, *, size: int) -> None:
        """Write the `size` bytes of `body`.

        When this returns or raises, also when it is cancelled, nothing here touches `writer` any more, and it has got
        every byte that came.

        Raises:
            DigestMismatch: more than `size` bytes came.
            StagingError, ConnectionResetError: what `body` and the writer raise.
        """
        async with body.straight(size) as line:
            if line is not None:
                await self._straight(writer, line)
                return
        await _by_chunks(writer, body.chunks(), size=size, batch=self._batch)

    async def close(self) -> None:
        """End the threads; nothing is being received any more."""
        for threads in (self._threads, self._helpers.threads):
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)

    async def _straight(self, writer: ByteWriter, line: Line) -> None:
        intake = Intake(line, writer, piece=min(_PIECE, self._batch), helpers=self._helpers)
        running = asyncio.get_running_loop().run_in_executor(self._threads, intake.run)
        self._running += 1
        try:
            while not running.done():
                await asyncio.wait((running,), timeout=_LOOK)
                line.took(intake.taken)
            running.result()
        finally:
            intake.stop()
            try:
                await _to_its_end(running)
            finally:
                self._running -= 1
                running.exception()  # looked at: of who was stopped nobody wants to know
                line.took(intake.taken)
                intake.close()

    def _is_spare(self) -> bool:
        return self._running < self._processors


async def verify(writer: BlobWriter, *, digest: Digest, size: int) -> None:
    """Raise DigestMismatch unless the bytes written are the promised ones."""
    if writer.size != size:
        msg = f"{writer.size} bytes came, {size} were promised"
        raise DigestMismatch(msg)
    actual = await writer.digest()
    if actual != digest:
        msg = f"the bytes have {actual}, {digest} was promised"
        raise DigestMismatch(msg)


async def collect(body: Body, *, size: int) -> list[bytes]:
    """Return the `size` bytes of a small body.

    Raises:
        DigestMismatch: they are more, or fewer.
    """
    chunks: list[bytes] = []
    received = 0
    async for chunk in body.chunks():
        received += len(chunk)
        if received > size:
            break
        chunks.append(chunk)
    if received != size:
        msg = f"{received} bytes came, {size} were promised"
        raise DigestMismatch(msg)
    return chunks


async def _by_chunks(writer: ByteWriter, chunks: AsyncIterator[bytes], *, size: int, batch: int) -> None:
    received = 0
    try:
        # A write that fails ends the wait for the next chunk, which may never come.
        async with asyncio.TaskGroup() as beside, _Batches(writer, batch=batch, beside=beside) as batches:
            async for chunk in chunks:
                received += len(chunk)
                if received > size:
                    msg = f"more bytes came than the {size} that were promised"
                    raise DigestMismatch(msg)
                await batches.add(chunk)
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        raise first from first.__cause__


class _Batches:
    """Writes batch after batch while the next one is collected; at its end everything that was added is written."""

    def __init__(self, writer: ByteWriter, *, batch: int, beside: asyncio.TaskGroup) -> None:
        self._writer = writer
        self._batch = batch
        self._beside = beside
        self._collected: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if await _succeeded(self._writing) and self._collected:
            self._begin()
            await _succeeded(self._writing)

    async def add(self, chunk: bytes) -> None:
        """Take a chunk; waits while the batch before is being written."""
        self._collected.append(chunk)
        self._size += len(chunk)
        if self._size >= self._batch:
            await _succeeded(self._writing)
            self._begin()

    def _begin(self) -> None:
        self._writing = self._beside.create_task(self._writer.write(self._collected))
        self._collected, self._size = [], 0


async def _succeeded(task: asyncio.Task[None] | None) -> bool:
    """Wait for `task`, whose error the task group reports, and tell whether there was none."""
    if task is None:
        return True
    await _to_its_end(task)
    return not task.cancelled() and task.exception() is None


async def _to_its_end(work: asyncio.Future[None]) -> None:
    """Return when `work` has ended by itself; who is cancelled meanwhile is cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
