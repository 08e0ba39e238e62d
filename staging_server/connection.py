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
from aiohttp import web

from staging_protocol.errors import InternalError, InvalidRequest, StagingError
from staging_server.problems import problem_response

_log: Final = structlog.get_logger("connection")

_MAX_HEAD_LINE: Final = 16 * 1024
"""Bytes of the request line and of each field: a file name of 255 bytes, percent-encoded, and long projected tokens."""

_READ_SIZE: Final = 1024 * 1024
"""Bytes asked of the socket at once (asyncio: 256 KiB), and held for a handler that is behind."""

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

    __slots__ = ("_head_deadline", "_limits", "_refused")

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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tune the socket."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_SIZE
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
