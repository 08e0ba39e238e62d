"""The body of an upload's request, and the ways to its bytes: by chunks through aiohttp, or straight from the socket.

From the moment this is made the connection is not read from, so that what waits for a place waits in the kernel and
with the client, not in our memory.

The straight way leaves aiohttp's parser behind, which has to learn that the body is over before the next request can be
found.  It is given as many zeros as bytes were taken from the socket, and what comes out of it is thrown away.
"""

import asyncio
import os
import select
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Self

from aiohttp import StreamReader, web

from staging_protocol.errors import InvalidRequest
from staging_server.bodies import send_continue
from staging_server.connections.connection import Connection
from staging_server.settings import TimeoutSettings
from staging_server.uploads.intake import Line
from staging_server.uploads.patience import Patience
from staging_server.uploads.receiving import Body

_WORTH: Final = 512 * 1024
"""Bytes of a body from which on a thread of its own costs less than the parser."""


class RequestBody:
    """`Body` of a request; a context, in which the connection is read from only when somebody asks for bytes."""

    def __init__(self, request: web.Request, *, timeouts: TimeoutSettings, heard: Callable[[int], None]) -> None:
        """`heard` is told of bytes that came, now and then."""
        self._request = request
        self._timeouts = timeouts
        self._heard = heard
        self._connection = request.protocol if isinstance(request.protocol, Connection) else None
        self._is_asked_for = False
        self._after_line = b""

    def __enter__(self) -> Self:
        if not self._request.content.is_eof():
            self._hold()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._release()

    @contextmanager
    def watch(self, gone: Callable[[], None]) -> Iterator[None]:
        """See `Presence.watch`: asks the kernel for hang-ups only, so that bytes that wait do not wake anybody."""
        transport = self._request.transport
        if transport is None:
            gone()
            yield
            return
        loop = asyncio.get_running_loop()
        with select.epoll() as hang_ups:
            hang_ups.register(transport.get_extra_info("socket").fileno(), select.EPOLLRDHUP)

            def tell() -> None:
                loop.remove_reader(hang_ups.fileno())
                gone()

            loop.add_reader(hang_ups.fileno(), tell)
            try:
                yield
            finally:
                loop.remove_reader(hang_ups.fileno())

    async def line(self, *, at_most: int) -> bytes:
        """See `BatchBody.line`."""
        await self._ask()
        patience, found = Patience(self._timeouts), b"".join(self._take_buffered())
        while (end := found.find(b"\n", 0, at_most)) < 0:
            chunk = b"" if len(found) >= at_most else await self._wait_for_some(patience, received=len(found))
            if not chunk:
                msg = f"the body does not begin with a line of at most {at_most} bytes"
                raise InvalidRequest(msg)
            found += chunk
        self._after_line = found[end + 1 :]
        return found[:end]

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Body.chunks`."""
        await self._ask()
        if self._after_line:
            yield self._after_line
        self._release()
        patience, received = Patience(self._timeouts), 0
        while chunk := await _next_chunk(self._request.content, patience, received=received):
            received += len(chunk)
            self._heard(len(chunk))
            yield chunk

    @asynccontextmanager
    async def straight(self, size: int) -> AsyncIterator[Line | None]:
        """See `Body.straight`."""
        connection, transport = self._connection, self._request.transport
        if size < _WORTH or connection is None or transport is None or not connection.is_plain:
            yield None
            return
        await self._ask()
        before = [self._after_line, *self._take_buffered()]
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        try:
            yield Line(
                connection=descriptor,
                before=before,
                count=size - sum(map(len, before)),
                patience=Patience(self._timeouts),
                took=self._taking(connection),
            )
        finally:
            os.close(descriptor)
            self._release()

    async def _ask(self) -> None:
        if not self._is_asked_for:
            self._is_asked_for = True
            await send_continue(self._request)

    async def _wait_for_some(self, patience: Patience, *, received: int) -> bytes:
        """Let the connection be read from until something comes."""
        self._release()
        chunk = await _next_chunk(self._request.content, patience, received=received)
        self._hold()
        self._heard(len(chunk))
        return chunk

    def _take_buffered(self) -> list[bytes]:
        """Take what was read before the connection was held; taking it makes aiohttp read on, if nobody minds."""
        before: list[bytes] = []
        while chunk := self._request.content.read_nowait():
            before.append(chunk)
            self._heard(len(chunk))
            self._hold()
        return before

    def _taking(self, connection: Connection) -> Callable[[int], None]:
        known = 0

        def took(taken: int) -> None:
            nonlocal known
            new, known = taken - known, taken
            if new:
                self._heard(new)
                connection.skip(self._request.content, count=new)

        return took

    def _hold(self) -> None:
        if self._connection is not None:
            self._connection.hold()

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.release()


async def _next_chunk(content: StreamReader, patience: Patience, *, received: int) -> bytes:
    if content.is_eof():  # all of it came; `read_nowait` says b"" when all of it was taken
        return content.read_nowait()
    started = time.monotonic()
    try:
        async with asyncio.timeout(patience.left(received)):
            return await content.readany()
    except TimeoutError as error:
        raise patience.lost() from error
    except web.RequestPayloadError as error:
        msg = "the body of the request is broken"
        raise InvalidRequest(msg) from error
    finally:
        patience.waited(time.monotonic() - started)


def _is_body(body: RequestBody) -> Body:
    return body
