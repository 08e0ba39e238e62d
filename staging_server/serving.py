"""From settings to a listening server, and back: start-up checks, the parts, their loops, and leaving in order."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from staging_protocol.api.info import PodEndpoint
from staging_protocol.errors import InvalidRequest, StagingError
from staging_server.app import make_app
from staging_server.auth.anonymous import is_loopback
from staging_server.auth.opening import Gate, open_gate
from staging_server.connections.draining import Departure, drain
from staging_server.connections.front import Make, open_front
from staging_server.connections.listening import listen, raise_file_limit, url_of
from staging_server.connections.tls import Tls, open_tls
from staging_server.connections.watched import WatchedConnection
from staging_server.metadata.base import Metadata
from staging_server.metadata.store import database_file
from staging_server.metrics.registry import Metrics
from staging_server.owned import owned
from staging_server.parts import open_server_parts, pod_endpoint
from staging_server.process_memory import spare_collector
from staging_server.retention.lead import Lead
from staging_server.settings import AuthMode, Settings, settings_text
from staging_server.state import STATE, AppState
from staging_server.times import Clock, utc_now
from staging_server.version import VERSION
from staging_server.workers.messages import Role, Start
from staging_server.workers.supervisor import Supervisor, supervised

_log: Final = structlog.get_logger("server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a process listens; several have the same socket."""

    listener: socket.socket
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that listens; only the first process has a `supervisor`, when it shall have workers."""

    url: str
    state: AppState
    supervisor: Supervisor | None = None


def check_settings(settings: Settings) -> None:
    """Refuse settings that would open the server to everybody.

    Raises:
        InvalidRequest: it would listen beyond this machine without authentication.
    """
    if settings.auth.mode is AuthMode.NONE and not is_loopback(settings.host):
        msg = (
            f"auth.mode=none gives everybody every right, so it listens on loopback only, not on {settings.host!r}; "
            "set host=127.0.0.1, or auth.mode=tokens with auth.tokens_file"
        )
        raise InvalidRequest(msg)


@asynccontextmanager
async def running(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[RunningServer]:
    """Open everything, listen, and yield; afterwards end in order.

    Raises:
        InvalidRequest, NoSpace: with a plain message, when something does not allow to start.
    """
    check_settings(settings)
    with listen(settings.host, settings.port) as listener:
        place = Place(listener=listener, url=url_of(listener, settings))
        async with opened(settings, place, clock=clock, is_first=True) as server:
            yield server


@asynccontextmanager
async def opened(
    settings: Settings,
    place: Place,
    *,
    clock: Clock = utc_now,
    is_first: bool = False,
    database: AbstractAsyncContextManager[Metadata] | None = None,
    make: Make = WatchedConnection,
) -> AsyncIterator[RunningServer]:
    """Open what one process needs and accept connections; afterwards end in order.

    Args:
        settings: of the whole server.
        place: where to accept.
        clock: what time it is.
        is_first: whether this process sweeps, measures, and has the others as children.
        database: the database, when it is not the one of the settings itself.
        make: makes a connection.
    """
    metrics = Metrics(version=VERSION)
    tls = await asyncio.to_thread(open_tls, settings.tls, observer=metrics)
    files = raise_file_limit()
    async with AsyncExitStack() as stack:
        opening = open_gate(settings, clock=clock, watches=metrics.watches, reviews=metrics.reviews)
        gate = await stack.enter_async_context(opening)
        pods = await asyncio.to_thread(pods_of, settings, place.url)
        parts = await stack.enter_async_context(
            open_server_parts(settings, pods=pods, observer=metrics, clock=clock, database=database)
        )
        app = make_app(parts, gate=gate, metrics=metrics, pods=pods)
        state = app[STATE]
        for work in _loops(state, tls=tls, gate=gate, is_first=is_first):
            await stack.enter_async_context(owned(work))
        supervisor = _supervisor(state, place) if is_first and settings.workers > 1 else None
        if supervisor is not None:
            # It ends after the connections, which its children may have to pass the last bytes of.
            await stack.enter_async_context(supervised(supervisor))
        front = open_front(app, place.listener, settings=settings, tls=tls, files=files, make=make)
        acceptor = await stack.enter_async_context(front)
        if supervisor is not None:
            supervisor.begin(acceptor)
        yield RunningServer(url=place.url, state=state, supervisor=supervisor)


def _loops(
    state: AppState, *, tls: Tls | None, gate: Gate, is_first: bool
) -> Iterator[Coroutine[object, object, None]]:
    """Yield what runs beside, as long as the process."""
    settings = state.parts.settings
    if tls is not None:
        yield tls.watch(every=settings.tls.reload_every)
    yield state.parts.policies.watch()
    if is_first:
        yield _lead(state, gate).run()
        yield _keep_measuring(state)


def _lead(state: AppState, gate: Gate) -> Lead:
    parts = state.parts
    return Lead(
        metadata=parts.metadata, sweeper=parts.sweeper, sights=parts.sights, open_sights=gate.open_sights,
        sweep_every=parts.settings.retention.sweep_every, observer=state.metrics,
    )  # fmt: skip


def _supervisor(state: AppState, place: Place) -> Supervisor:
    settings = state.parts.settings
    return Supervisor(
        listener=place.listener, parts=state.parts, died=state.metrics.process_died, count=settings.workers - 1,
        role=Role.SERVER if database_file(settings.storage) is None else Role.READER,
        start=Start(settings=settings_text(settings), url=place.url),
    )  # fmt: skip


async def serve(settings: Settings, *, started: Callable[[RunningServer], None]) -> None:
    """Run until SIGTERM or SIGINT; `started` is told when the server listens."""
    departure = Departure()
    async with running(settings) as server:
        departure.on_signals()
        spare_collector()
        started(server)
        await departure.wanted.wait()
        if server.supervisor is not None:
            server.supervisor.leave()
        server.state.parts.uploads.drain()
        await drain(server.state.traffic, settings.timeouts, departure)


def pods_of(settings: Settings, url: str) -> PodEndpoint:
    """Return where pods reach the server: where it listens, when nothing else is set."""
    known = settings if settings.pod_url else settings.model_copy(update={"pod_url": url})
    return pod_endpoint(known)


async def _keep_measuring(state: AppState) -> None:
    """Bring the gauges of what is stored up to date as often as sweeps change it; until cancelled.

    Counting grows with what is stored, so it may take a hundredth of the time and no more.
    """
    while True:
        started = time.monotonic()
        try:
            usage = await state.parts.overview.usage(None)
            uploads, size = await state.parts.resumable.usage()
            claims = await state.parts.overview.claims()
            overdue = await state.parts.overview.overdue()
        except StagingError as error:
            _log.warning("usage not measured", code=error.code, detail=error.detail)
        else:
            state.metrics.stored(blobs=usage.blobs, size=usage.stored_size)
            state.metrics.waiting(uploads=uploads, size=size)
            state.metrics.claims_counted(claims)
            state.metrics.oldest_due(seconds=overdue)
        spent = time.monotonic() - started
        await asyncio.sleep(max(state.parts.settings.retention.sweep_every, 100 * spent))
