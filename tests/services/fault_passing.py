"""One exchange that passes a fault proxy and reaches the server: the request up, the answer down, and their faults."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tests.services.fault_lane import Broken, Ended, Lane
from tests.services.fault_wire import End, Head
from tests.services.faults import CloseAfter, Exchange, Fault, LoseAnswer, SendTwice, Way, Zone

F = TypeVar("F")


class Passing:
    """One exchange that reaches the server."""

    def __init__(
        self,
        near: End,
        far: End,
        *,
        head: Head,
        faults: Sequence[Fault],
        exchange: Exchange,
        connect: Callable[[], Awaitable[End]],
        closing: asyncio.Event,
    ) -> None:
        self._near = near
        self._far = far
        self._head = head
        self._faults = faults
        self._exchange = exchange
        self._connect = connect
        self._closing = closing
        self._up = self._lane(Way.UP, far)

    async def run(self) -> bool:
        """Pass it; return whether the client's connection is kept."""
        if twice := self._find(SendTwice):
            await self._send_twice(twice)
            return await self._answer()
        upload = asyncio.ensure_future(self._request())
        try:
            return await self._answer() and await self._is_sent(upload)
        finally:
            upload.cancel()
            await asyncio.gather(upload, return_exceptions=True)

    async def _is_sent(self, upload: "asyncio.Future[bool]") -> bool:
        """Tell whether the request passed whole; one that was refused before its end does not."""
        refused = (self._exchange.status or 0) >= 400
        if not refused or not self._head.has_request_body:
            return await upload
        if upload.done() and upload.exception() is None:
            return upload.result()
        upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)
        await self._near.linger()
        return False

    async def _request(self) -> bool:
        """Pass the request; return whether the connection is still of use."""
        try:
            await self._pass(self._near, self._up, self._head, size=self._head.size or 0)
        except Ended:
            self._far.end_sending()
            return False
        except Broken:
            self._far.reset()
            self._near.reset()
            raise
        return True

    async def _answer(self) -> bool:
        lost = self._find(LoseAnswer)
        head = await self._far.head()
        while head is not None and head.start[1].startswith("1"):
            await self._near.send(head.data)
            head = await self._far.head()
        if head is None:
            raise Broken
        size = head.answer_size(self._head.start[0])
        if lost is not None:
            await _drained(self._far, head, size=size)
            self._exchange.struck.append(lost)
            if lost.resets:
                raise Broken
            return False
        self._exchange.status = int(head.start[1])
        return await self._forward_answer(head, size=size)

    async def _forward_answer(self, head: Head, *, size: int | None) -> bool:
        lane = self._lane(Way.DOWN, self._near)
        try:
            await self._pass(self._far, lane, head, size=size)
        except Ended:
            return False
        if close := self._find(CloseAfter):
            self._exchange.struck.append(close)
            return False
        return not head.closes and (size is not None or head.chunked)

    async def _pass(self, source: End, lane: Lane, head: Head, *, size: int | None) -> None:
        await lane.begin(Zone.HEAD)
        await lane.send(head.data, Zone.HEAD)
        await lane.begin(Zone.BODY)
        async for piece, is_payload in source.body(size=size, chunked=head.chunked and size != 0):
            if is_payload:
                await lane.send(piece, Zone.BODY)
            else:
                await lane.send_framing(piece)

    async def _send_twice(self, fault: SendTwice) -> None:
        pieces = [piece async for piece, _ in self._near.body(size=self._head.size or 0, chunked=self._head.chunked)]
        whole = self._head.data + b"".join(pieces)
        self._exchange.struck.append(fault)
        self._exchange.up = len(whole) - len(self._head.data)
        if fault.at_once:
            await asyncio.gather(self._send_aside(whole), self._far.send(whole))
        else:
            await self._send_aside(whole)
            await self._far.send(whole)

    async def _send_aside(self, request: bytes) -> None:
        """Send a whole request on a connection of its own, and wait for the whole answer."""
        end = await self._connect()
        try:
            await end.send(request)
            head = await end.head()
            if head is not None:
                await _drained(end, head, size=head.answer_size(self._head.start[0]))
        finally:
            end.close()

    def _lane(self, way: Way, target: End) -> Lane:
        return Lane(way, target, faults=self._faults, exchange=self._exchange, closing=self._closing)

    def _find(self, kind: type[F]) -> F | None:
        return next((fault for fault in self._faults if isinstance(fault, kind)), None)


async def _drained(end: End, head: Head, *, size: int | None) -> None:
    async for _ in end.body(size=size, chunked=head.chunked and size != 0):
        pass
