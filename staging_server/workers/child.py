"""What a child runs: a full server, or a reader, on the socket that it inherited."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from staging_protocol.errors import Unavailable
from staging_server.connections.draining import Departure, drain
from staging_server.connections.watched import WatchedConnection
from staging_server.metadata.base import Metadata
from staging_server.metadata.store import database_file
from staging_server.metadata.threaded import ThreadedDatabase
from staging_server.owned import owned
from staging_server.serving import Place, RunningServer, opened
from staging_server.settings import Settings
from staging_server.state import AppState
from staging_server.workers.channel import Channel
from staging_server.workers.forwarding import ReaderMetadata
from staging_server.workers.messages import Close, Handed, Leave, Ready, Role, Start, ToChild, ToParent, Written
from staging_server.workers.reader_connection import ReaderConnection

_TELL_EVERY: Final = 1.0
"""Seconds after which the parent is told what was read: what a child that is killed forgets."""

_RELAYED_WITHIN: Final = 2.0
"""Seconds for relayed connections to pass on what the parent has sent."""

_TO_CHILD: Final[Any] = ToChild


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the parent's first message says."""

    settings: Settings
    url: str

    @classmethod
    def by(cls, message: bytes) -> Self:
        """Return what `Start` says."""
        start = msgspec.msgpack.decode(message, type=Start)
        return cls(settings=Settings(**json.loads(start.settings)), url=start.url)


class Child:
    """This process."""

    def __init__(self, told: Told, *, role: Role, listener: socket.socket, channel: socket.socket) -> None:
        self._told = told
        self._role = role
        self._listener = listener
        self._end = channel
        self._departure = Departure()
        self._closing = asyncio.Event()
        self._metadata: ReaderMetadata | None = None
        self._relays: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the parent says that it is enough."""
        self._channel = Channel(self._end, received=self._received, ended=self._orphaned)
        loop = asyncio.get_running_loop()
        # Whoever ends a whole group of processes has the parent tell us to leave, too: this is not asking twice.
        loop.add_signal_handler(signal.SIGTERM, self._departure.wanted.set)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(self._opened())
            self._tell(Ready())
            await self._departure.wanted.wait()
            server.state.parts.uploads.drain()
            await drain(server.state.traffic, self._told.settings.timeouts, self._departure)
            await self._until_closed()
            if self._relays:
                await asyncio.wait(self._relays, timeout=_RELAYED_WITHIN)
        self._channel.close()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[RunningServer]:
        settings = self._told.settings
        place = Place(listener=self._listener, url=self._told.url)
        if self._role is Role.SERVER:
            async with opened(settings, place) as server:
                yield server
            return
        make = functools.partial(ReaderConnection, hand_over=self._hand_over, relays=self._keep_relay)
        async with (
            opened(settings, place, database=self._open_metadata(), make=make) as server,
            owned(_keep_telling(server.state)),
        ):
            yield server

    @asynccontextmanager
    async def _open_metadata(self) -> AsyncIterator[Metadata]:
        storage = self._told.settings.storage
        path = database_file(storage)
        assert path is not None  # noqa: S101 - for mypy: there are readers with SQLite only
        database = await asyncio.to_thread(ThreadedDatabase, path, settings=storage, read_only=True)
        self._metadata = ReaderMetadata(database, send=self._tell)
        try:
            yield self._metadata
        finally:
            await self._metadata.close()

    async def _until_closed(self) -> None:
        """Wait until the parent has ended its side of all relayed connections, too."""
        timeouts = self._told.settings.timeouts
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeouts.shutdown_delay + timeouts.shutdown):
                await self._closing.wait()

    def _received(self, data: bytes, _descriptor: int | None) -> None:
        message: ToChild = msgspec.msgpack.decode(data, type=_TO_CHILD)
        match message:
            case Leave():
                self._departure.wanted.set()
            case Close():
                self._departure.wanted.set()
                self._departure.hurried.set()
                self._closing.set()
            case Written() if self._metadata is not None:
                self._metadata.answered(message)

    def _orphaned(self) -> None:
        """Leave at once: without the parent nothing can be written, and its successor wants the port."""
        os._exit(1)

    def _tell(self, message: ToParent, *, descriptor: int | None = None) -> None:
        self._channel.send(msgspec.msgpack.encode(message), descriptor=descriptor)

    def _hand_over(self, handed: Handed, descriptor: int) -> None:
        self._tell(handed, descriptor=descriptor)

    def _keep_relay(self, task: asyncio.Task[None]) -> None:
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)


async def _keep_telling(state: AppState) -> None:
    """Bring what was read to the parent's counts; until cancelled."""
    while True:
        await asyncio.sleep(_TELL_EVERY)
        with contextlib.suppress(Unavailable):  # it is kept for the next time
            await state.parts.bundles.activity.flush()


_: type[WatchedConnection] = ReaderConnection
