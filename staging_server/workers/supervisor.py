"""The parent's side: starts the children, starts them again when they end, does what they ask, and ends them.

Nobody waits for a child to be ready: the parent serves the port alone until then.  On a busy machine a child takes long
to start (seconds of a core go into imports), so one that is slow is left alone; ending it would only begin that anew.
"""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import structlog

from staging_server.connections.accepting import Acceptor
from staging_server.connections.watched import Arrival
from staging_server.parts import ServerParts
from staging_server.workers.channel import Channel, channel_pair
from staging_server.workers.forwarding import run_for_reader
from staging_server.workers.messages import Close, Handed, Leave, Ready, Role, Start, ToChild, ToParent, Write

_log: Final = structlog.get_logger("workers")

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0
"""Seconds before a child that ended is started again; doubled each time, until one has lived for the longest."""

_ENDED_WITHIN: Final = 5.0
"""Seconds for a child to end after it was told to; it had its time for what ran before."""

Died = Callable[[int], None]
"""Is told the process id of each child that has ended."""


class Worker:
    """One child, through all its lives."""

    def __init__(self, number: int, *, supervisor: "Supervisor") -> None:
        self.name = f"{supervisor.role}-{number}"
        self._is_ready = False
        self._supervisor = supervisor
        self._channel: Channel | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._writing: set[asyncio.Task[None]] = set()

    async def keep(self) -> None:
        """Start it, and start it again whenever it ends, until the server leaves."""
        pause = _FIRST_PAUSE
        while not self._supervisor.is_leaving:
            began = time.monotonic()
            code = await self._live()
            if self._supervisor.is_leaving:
                return
            pause = _FIRST_PAUSE if time.monotonic() - began > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
            _log.error("worker ended, it is started again", worker=self.name, code=code, after_s=round(pause, 1))
            await self._supervisor.left(within=pause)

    def send(self, message: ToChild) -> None:
        """Tell it something, if it lives."""
        if self._channel is not None:
            self._channel.send(msgspec.msgpack.encode(message))

    def close(self) -> None:
        """End it; without asking when it is still starting, and has nothing to bring to its end."""
        if self._is_ready:
            self.send(Close())
        else:
            self.kill()

    def kill(self) -> None:
        """End it without asking."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _live(self) -> int:
        ours, theirs = channel_pair()
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._supervisor.command(self.name, channel=theirs.fileno()), stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(self._supervisor.listener.fileno(), theirs.fileno()),
            )  # fmt: skip
        except OSError as error:  # no memory, no processes left
            ours.close()
            _log.error("worker not started", worker=self.name, error=error.strerror)
            return -1
        finally:
            theirs.close()
        self._channel = Channel(ours, received=self._received, ended=self._ended)
        self.send(self._supervisor.start)
        if self._supervisor.is_leaving:  # since the process was asked for
            self.kill()
        code = await process.wait()
        self._ended()
        self._process, self._is_ready = None, False
        self._supervisor.died(process.pid)
        return code

    def _ended(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _received(self, data: bytes, descriptor: int | None) -> None:
        message: ToParent = msgspec.msgpack.decode(data, type=_TO_PARENT)
        match message:
            case Ready():
                self._is_ready = True
                _log.info("worker ready", worker=self.name, pid=self._process.pid if self._process else 0)
            case Handed() if descriptor is not None:
                # Its kind is asked of the kernel: TCP, or one end of a pair.
                self._supervisor.adopt(socket.socket(fileno=descriptor), Arrival(message.first, message.peer))
            case Write():
                task = asyncio.create_task(self._write(message))
                self._writing.add(task)
                task.add_done_callback(self._writing.discard)
            case Handed():
                _log.warning("a connection was lost on its way from a worker", worker=self.name)

    async def _write(self, write: Write) -> None:
        self.send(await run_for_reader(write, self._supervisor.parts))


class Supervisor:
    """All children of this process."""

    def __init__(
        self, *, listener: socket.socket, role: Role, start: Start, parts: ServerParts, died: Died, count: int
    ) -> None:
        self.listener = listener
        self.role = role
        self.start = start
        self.parts = parts
        self.died = died
        self._acceptor: Acceptor | None = None
        self._leaving = asyncio.Event()
        self._workers = [Worker(number, supervisor=self) for number in range(1, count + 1)]
        self._keeping: list[asyncio.Task[None]] = []

    @property
    def is_leaving(self) -> bool:
        """Whether children are not started again any more."""
        return self._leaving.is_set()

    async def left(self, *, within: float) -> None:
        """Wait until the server leaves, for some seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._leaving.wait()

    def command(self, name: str, *, channel: int) -> list[str]:
        """Return the command line of a child; `ps` shows it."""
        listener = self.listener.fileno()
        # -P: nothing is imported from the folder that the server happens to be started in.
        program = [sys.executable, "-P", "-m", "staging_server.workers"]
        return [*program, name, f"--listener={listener}", f"--channel={channel}"]

    def adopt(self, connected: socket.socket, arrival: Arrival) -> None:
        """Serve a connection that a child has given away."""
        if self._acceptor is None:
            connected.close()
        else:
            self._acceptor.adopt(connected, arrival)

    def begin(self, acceptor: Acceptor) -> None:
        """Start all children; what they give away comes to `acceptor`."""
        self._acceptor = acceptor
        self._keeping = [asyncio.create_task(worker.keep(), name=worker.name) for worker in self._workers]

    def leave(self) -> None:
        """Let the children finish what runs; none is started again."""
        self._leaving.set()
        for worker in self._workers:
            worker.send(Leave())

    async def end(self) -> None:
        """End all children now."""
        self._leaving.set()
        for worker in self._workers:
            worker.close()
        if self._keeping:
            _, late = await asyncio.wait(self._keeping, timeout=_ENDED_WITHIN)
            for worker in self._workers if late else ():
                worker.kill()
            await asyncio.gather(*self._keeping)


_TO_PARENT: Final[Any] = ToParent


@asynccontextmanager
async def supervised(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    """End the children with the block."""
    try:
        yield supervisor
    finally:
        await supervisor.end()
