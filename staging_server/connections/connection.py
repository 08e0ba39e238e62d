"""One client connection: the limits that aiohttp leaves open, and refusals in our own form.

aiohttp waits for ever for the rest of a request's head once its first byte came within the keep-alive time, reads a
refused body for 10 s, inflates encoded bodies, and answers what is no HTTP in plain text.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import StreamReader, web

from staging_protocol.errors import InternalError, InvalidRequest, StagingError
from staging_server.problems import problem_response

_log: Final = structlog.get_logger("connection")

_MAX_HEAD_LINE: Final = 16 * 1024
"""Bytes of the request line and of each field: a file name of 255 bytes, percent-encoded, and long projected tokens."""

_READ_SIZE: Final = 1024 * 1024
"""Bytes asked of the socket at once (asyncio: 256 KiB), and held for a handler that is behind."""

_FIRST_READ: Final = 64 * 1024
"""Bytes asked of the socket at once before somebody wants a body: what a waiting upload may hold in our memory."""

_ZEROS: Final = bytes(256 * 1024)
"""What the parser gets for bytes that went another way, piece by piece: as large as stays in the processor's cache."""

_LINGER: Final = 1.0
"""Seconds in which the rest of a refused body is read and dropped.  Closing at once would reset the connection, and a
client that is still sending may then lose the answer that says why (RFC 9112, section 9.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Seconds: for the head of a request, without progress when sending, and idle between requests."""

    head: float
    stall: float
    keep_alive: float


class Connection(web.RequestHandler):
    """aiohttp's handler of one connection, with a deadline for heads, kernel-side stall detection and problem+json."""

    __slots__ = ("_head_deadline", "_held", "_limits", "_refused")

    def __init__(
        self,
        server: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: ConnectionLimits,
        refused: Callable[[StagingError], None],
    ) -> None:
        """`refused` is told of requests that no handler sees because they are no HTTP."""
        options: dict[str, Any] = {
            "keepalive_timeout": limits.keep_alive,
            "lingering_time": _LINGER,
            "read_bufsize": _READ_SIZE,
            "auto_decompress": False,
            "max_line_size": _MAX_HEAD_LINE,
            "max_field_size": _MAX_HEAD_LINE,
            "access_log": None,
        }
        super().__init__(server, loop=loop, **options)
        self._limits = limits
        self._refused = refused
        self._head_deadline: asyncio.TimerHandle | None = None
        self._held = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tune the socket."""
        super().connection_made(transport)
        self._ask_for(_FIRST_READ)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            # The kernel ends a connection whose peer takes nothing for that long, also within sendfile.
            milliseconds = max(1, int(self._limits.stall * 1000))
            with contextlib.suppress(OSError):  # reset before it was accepted
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def data_received(self, data: bytes) -> None:
        """Parse, and watch how long a head takes to come in."""
        super().data_received(data)
        waits_for_head = self._waiter is not None and not self._waiter.done()
        if not waits_for_head:
            self._forget_deadline()
        elif data and self._head_deadline is None:
            self._head_deadline = self._loop.call_later(self._limits.head, self.force_close)

    @property
    def is_plain(self) -> bool:
        """Whether the bytes of the socket are those of the requests."""
        return self.ssl_context is None

    def hold(self) -> None:
        """Leave what comes in the kernel from now on, until `release`."""
        if self.transport is not None and self.transport.is_reading():
            self.transport.pause_reading()
            self._held = True

    def release(self) -> None:
        """Read again: a body, or the next request; harmless without `hold`."""
        if self._held and self.transport is not None:
            self._held = False
            self._ask_for(_READ_SIZE)
            self.transport.resume_reading()

    def skip(self, body: StreamReader, *, count: int) -> None:
        """Let the parser believe that `count` more bytes of the running request's `body` came, and were read.

        Of a request that was cut off, it is not asked any more.
        """
        while count > 0 and self.transport is not None and body.exception() is None:
            piece = _ZEROS if count >= len(_ZEROS) else _ZEROS[:count]
            super().data_received(piece)
            body.read_nowait()
            self.hold()  # aiohttp has just been told that it may read on
            count -= len(piece)

    def _ask_for(self, size: int) -> None:
        transport: object = self.transport
        if hasattr(transport, "max_size"):
            transport.max_size = size

    def connection_lost(self, exc: BaseException | None) -> None:
        """Clean up."""
        self._forget_deadline()
        super().connection_lost(exc)

    def _forget_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never reached a handler: bytes that are no HTTP request (400); anything else is our bug."""
        if request.writer.output_size > 0:
            msg = "a part of another answer was sent already"
            raise ConnectionAbortedError(msg)
        identifier = secrets.token_hex(8)
        error: StagingError
        if status < 500:  # noqa: PLR2004 - RFC 9110, section 15.6
            error = InvalidRequest("this is not a valid HTTP request")
            _log.info("not a request", request_id=identifier, remote=request.remote, error=type(exc).__name__)
        else:
            error = InternalError("the server failed; its log has the request id")
            tell = partial(_log.error, "unexpected error", request_id=identifier, exc_info=exc, detail=message)
            self._loop.run_in_executor(None, tell)  # tracebacks read source files
        self._refused(error)
        response = problem_response(error, request_id=identifier)
        response.force_close()
        return response
