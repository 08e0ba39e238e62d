"""What stands between a listening socket and the application: acceptor, connections, and who is too slow for them."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiohttp import web

from staging_server.connections.accepting import Acceptor
from staging_server.connections.connection import ConnectionLimits
from staging_server.connections.open_connections import OpenConnections
from staging_server.connections.pace import Pace
from staging_server.connections.tls import Tls
from staging_server.connections.watched import WatchedConnection
from staging_server.owned import owned
from staging_server.settings import Settings
from staging_server.state import STATE

_CUT_OFF: Final = 1.0
"""Seconds for the handlers of requests that are cut off to clean up; who still runs had its time in `draining`."""

_FILES_FOR_US: Final = 200
"""Open files of the process that are no connections: database, logs, threads' files."""

_FILES_EACH: Final = 3
"""Open files of a download: the connection, its duplicate for `sendfile`, and the blob."""

Make = Callable[..., WatchedConnection]
"""Makes a connection of `WatchedConnection`'s arguments."""


def most_connections(settings: Settings, *, files: int) -> int:
    """Return how many connections a process may have that may open `files`."""
    return max(1, min(settings.limits.connections, (files - _FILES_FOR_US) // _FILES_EACH))


@asynccontextmanager
async def open_front(
    app: web.Application,
    listener: socket.socket,
    *,
    settings: Settings,
    tls: Tls | None,
    files: int,
    make: Make = WatchedConnection,
) -> AsyncIterator[Acceptor]:
    """Accept connections until the end; then let what runs clean up."""
    runner = web.AppRunner(app, shutdown_timeout=_CUT_OFF, access_log=None)
    await runner.setup()
    if runner.server is None:
        msg = "aiohttp's runner has no server after its setup"
        raise RuntimeError(msg)
    timeouts, metrics = settings.timeouts, app[STATE].metrics
    connections = OpenConnections(most=most_connections(settings, files=files), changed=metrics.connections)
    connection = partial(
        make, runner.server, loop=asyncio.get_running_loop(), connections=connections,
        limits=ConnectionLimits(head=timeouts.headers, stall=timeouts.stall, keep_alive=timeouts.keep_alive),
        refused=lambda error: metrics.refused(error.code),
    )  # fmt: skip
    pace = Pace(
        window=timeouts.stall, slowest=timeouts.slowest_rate,
        cut_off=lambda: metrics.connection_closed(reason="slow"),
    )  # fmt: skip
    acceptor = Acceptor(
        listener, connection=connection, connections=connections, tls=partial(_context, tls),
        handshake=timeouts.handshake, observer=metrics,
    )  # fmt: skip
    try:
        async with owned(pace.watch(lambda: connections)):
            yield acceptor
    finally:
        await acceptor.close()
        await runner.cleanup()


def _context(tls: Tls | None) -> ssl.SSLContext | None:
    return None if tls is None else tls.context
