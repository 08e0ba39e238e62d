"""A connection of a reader: it answers reads, and gives the connection away with the first request that is none.

Requests come to aiohttp's parser one at a time, each once its whole head is there and is seen to be a read without a
body.  Whatever follows waits until the answer is on its way.  So nothing that belongs to the parent is ever half
parsed, whatever a client sends after its first request without waiting.
"""

import asyncio
import os
import re
import socket
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from staging_server.connections.watched import WatchedConnection
from staging_server.workers.messages import Handed
from staging_server.workers.relay import Relay

_MOST: Final = 64 * 1024
"""Bytes of a head.  A longer one is for the parent to refuse."""

_SEGMENT: Final = rb"/[^/?#\s]+"
_READ: Final = re.compile(
    rb"(?:GET|HEAD) /v1/"
    rb"(?:info|namespaces" + _SEGMENT + rb"/bundles" + _SEGMENT +
    rb"(?:/manifest|/files" + _SEGMENT + _SEGMENT + rb")?)"
    rb"(?:\?[^#\s]*)? HTTP/1\.1\r\n"
)  # fmt: skip
_BODY: Final = re.compile(rb"\r\n(?:content-length|transfer-encoding|expect|upgrade)[ \t]*:", re.IGNORECASE)

HandOver = Callable[[Handed, int], None]
"""Gives a connection to the parent; the descriptor is the taker's to close."""


def is_for_readers(head: bytes | bytearray) -> bool:
    """Tell whether a request with this head is answered by a reader."""
    return _READ.match(head) is not None and _BODY.search(head) is None


class ReaderConnection(WatchedConnection):
    """See the module."""

    __slots__ = ("_ahead", "_hand_over", "_is_answering", "_is_paused", "_relays")

    def __init__(
        self, *args: Any, hand_over: HandOver, relays: Callable[[asyncio.Task[None]], None], **options: Any
    ) -> None:
        """`relays` keeps the tasks that begin to relay a connection."""
        super().__init__(*args, **options)
        self._hand_over = hand_over
        self._relays = relays
        self._ahead = bytearray()
        self._is_answering = False
        self._is_paused = False

    def data_received(self, data: bytes) -> None:
        """Hold it until it is a whole head."""
        self._ahead += data
        if not self._is_answering:
            self._next()
        elif len(self._ahead) >= _MOST and not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Look at what follows once an answer is out."""
        done = await super().finish_response(request, resp, start_time)
        if resp.keep_alive and not self._close:
            self._loop.call_soon(self._answered)
        return done

    def _answered(self) -> None:
        self._is_answering = False
        if self.transport is None or self.transport.is_closing():
            return
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()
        if self._ahead:
            self._next()

    def _next(self) -> None:
        while self._ahead.startswith(b"\r\n"):  # RFC 9112, section 2.2
            del self._ahead[:2]
        end = self._ahead.find(b"\r\n\r\n") + 4
        if end < 4 and len(self._ahead) < _MOST:  # noqa: PLR2004 - `find` found none
            if self._ahead and self._head_deadline is None:
                self._head_deadline = self._loop.call_later(self._limits.head, self.force_close)
        elif end >= 4 and is_for_readers(head := bytes(self._ahead[:end])):  # noqa: PLR2004 - as above
            del self._ahead[:end]
            self._is_answering = True
            super().data_received(head)
        else:
            self._give_away()

    def _give_away(self) -> None:
        transport, first = self.transport, bytes(self._ahead)
        if not isinstance(transport, asyncio.Transport) or transport.is_closing():
            return
        transport.pause_reading()
        is_plain = transport.get_extra_info("sslcontext") is None and not transport.get_write_buffer_size()
        peer = transport.get_extra_info("peername")
        # This object has done its part; without its transport it does not close it.
        transport.set_protocol(asyncio.Protocol())
        self.transport = None
        self.connection_lost(None)
        if is_plain:
            self._hand_over(Handed(first, None), os.dup(transport.get_extra_info("socket").fileno()))
            transport.abort()  # closes this process's descriptor only
            return
        inner, theirs = socket.socketpair()
        inner.setblocking(False)
        self._hand_over(Handed(b"", peer[:2]), theirs.detach())
        relay = Relay(connections=self._open)
        self._relays(self._loop.create_task(relay.run(transport, inner, first)))
