"""From settings to a listening server, and back: start-up checks, the socket, signals, and leaving in order.

On SIGTERM the server says that it is not ready and takes no new uploads and bundles; `timeouts.shutdown_delay` later it
takes nothing new at all; what runs may end within `timeouts.shutdown`; the exit code is 0.  A second signal cuts off
what still runs.
"""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from staging_protocol.api import PodEndpoint
from staging_protocol.errors import InvalidRequest, StagingError
from staging_server.app import make_app
from staging_server.auth import Anonymous, Authenticator, ByTokens, is_loopback
from staging_server.connection import Connection, ConnectionLimits
from staging_server.known_tokens import AccessTokens
from staging_server.metrics import Metrics
from staging_server.parts import open_server_parts, pod_endpoint
from staging_server.settings import AuthMode, Settings
from staging_server.state import STATE, AppState
from staging_server.version import VERSION

_log: Final = structlog.get_logger("server")

_BACKLOG: Final = 4096
"""Connections that wait to be accepted: all executors of a big job start at the same second.  Linux cuts it to
net.core.somaxconn, 4,096 by default."""

_CUT_OFF: Final = 1.0
"""Seconds for the handlers of requests that are cut off to clean up."""

_LOOK_EVERY: Final = 0.05
"""Seconds between two looks at whether what runs has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that listens."""

    url: str
    state: AppState


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
async def running(settings: Settings) -> AsyncIterator[RunningServer]:
    """Open everything, listen, and yield; afterwards end in order.

    Raises:
        InvalidRequest, NoSpace: with a plain message, when something does not allow to start.
    """
    check_settings(settings)
    tls = await asyncio.to_thread(tls_context, settings)
    tokens = await asyncio.to_thread(open_tokens, settings)
    _raise_file_limit()
    with listen(settings.host, settings.port) as listener:
        url = _url_of(listener, settings)
        metrics = Metrics(version=VERSION)
        async with contextlib.AsyncExitStack() as stack:
            pods = await asyncio.to_thread(_pods, settings, url)
            parts = await stack.enter_async_context(open_server_parts(settings, pods=pods, observer=metrics))
            authenticator: Authenticator = Anonymous() if tokens is None else ByTokens(tokens)
            app = make_app(parts, authenticator=authenticator, metrics=metrics, pods=pods)
            if tokens is not None:
                await stack.enter_async_context(_owned(tokens.watch(every=settings.auth.reload_every)))
            await stack.enter_async_context(_owned(parts.sweeper.run()))
            await stack.enter_async_context(_owned(_keep_measuring(app[STATE])))
            await stack.enter_async_context(_serving(app, listener, settings=settings, tls=tls))
            yield RunningServer(url=url, state=app[STATE])


async def serve(settings: Settings, *, started: Callable[[RunningServer], None]) -> None:
    """Run until SIGTERM or SIGINT; `started` is told when the server listens."""
    leave, hurry = asyncio.Event(), asyncio.Event()
    async with running(settings) as server:
        _watch_signals(leave, hurry)
        _spare_collector()
        started(server)
        await leave.wait()
        await _drain(server.state, settings, hurry)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; several processes may inherit it.

    Without SO_REUSEPORT, which would let a second server start silently on the same port.

    Raises:
        InvalidRequest: the address is not this machine's, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        msg = f"cannot listen on {host!r}: {error.strerror}"
        raise InvalidRequest(msg) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        msg = (
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port or end the other server"
        )
        raise InvalidRequest(msg) from error
    return listener


def open_tokens(settings: Settings) -> AccessTokens | None:
    """Return the access tokens of mode `tokens`; raises InvalidRequest for a file that is not valid."""
    return None if settings.auth.tokens_file is None else AccessTokens(settings.auth.tokens_file)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the server's TLS, or None for plain HTTP.

    Raises:
        InvalidRequest: one of the two files is missing or not usable.
    """
    certificate, key = settings.tls.certificate_file, settings.tls.key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        msg = "TLS needs both tls.certificate_file and tls.key_file"
        raise InvalidRequest(msg)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        msg = f"the certificate {certificate} and key {key} cannot be used: {error.strerror or error}"
        raise InvalidRequest(msg) from error
    return context


def _pods(settings: Settings, url: str) -> PodEndpoint:
    """Return where pods reach the server: where it listens, when nothing else is set."""
    known = settings if settings.pod_url else settings.model_copy(update={"pod_url": url})
    return pod_endpoint(known)


def _url_of(listener: socket.socket, settings: Settings) -> str:
    scheme = "http" if settings.tls.certificate_file is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


async def _keep_measuring(state: AppState) -> None:
    """Bring the gauges of what is stored up to date as often as sweeps change it; until cancelled."""
    while True:
        try:
            usage = await state.parts.bundles.usage(None)
        except StagingError as error:
            _log.warning("usage not measured", code=error.code, detail=error.detail)
        else:
            state.metrics.stored(blobs=usage.blobs, size=usage.stored_size)
        await asyncio.sleep(state.parts.settings.retention.sweep_every)


def _spare_collector() -> None:
    """Keep what lives as long as the process out of garbage collection, and collect less often: 6 % of a create."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets us: each client is one, and each download another."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def _owned(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run `work` beside, and end it at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _serving(
    app: web.Application, listener: socket.socket, *, settings: Settings, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Accept connections; at the end let what runs finish within the time that is left."""
    limits = ConnectionLimits(
        head=settings.timeouts.headers, stall=settings.timeouts.stall, keep_alive=settings.timeouts.keep_alive
    )
    loop = asyncio.get_running_loop()
    # Whoever still runs here had its time in `_drain`.
    runner = web.AppRunner(app, shutdown_timeout=_CUT_OFF, access_log=None)
    await runner.setup()
    if runner.server is None:
        msg = "aiohttp's runner has no server after its setup"
        raise RuntimeError(msg)
    metrics = app[STATE].metrics
    connection = partial(
        Connection, runner.server, loop=loop, limits=limits, refused=lambda error: metrics.refused(error.code)
    )
    server = await loop.create_server(connection, sock=listener, backlog=_BACKLOG, ssl=tls)
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()


def _watch_signals(leave: asyncio.Event, hurry: asyncio.Event) -> None:
    def on_signal() -> None:
        (hurry if leave.is_set() else leave).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


async def _drain(state: AppState, settings: Settings, hurry: asyncio.Event) -> None:
    """Let what runs end, with new work refused, unless someone hurries."""
    traffic = state.traffic
    traffic.draining = True
    _log.info("shutting down", in_flight=traffic.in_flight)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.timeouts.shutdown_delay):
            await hurry.wait()
    traffic.closed = True
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.timeouts.shutdown
    while traffic.in_flight and not hurry.is_set() and loop.time() < deadline:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY):
                await hurry.wait()
    _log.info("stopped", cut_off=traffic.in_flight)
