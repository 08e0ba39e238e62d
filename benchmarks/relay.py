"""A TCP relay that counts: the bytes of both directions, and the HTTP requests that pass.

Bytes are those of the TCP stream (headers and bodies of HTTP), without what TCP, IP and the link add.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_REQUEST_LINE: Final = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE) /[^ \r\n]* HTTP/1\.1\r\n")
_BLOCK: Final = 1024 * 1024
_LONGEST_LINE: Final = 8192
"""Bytes of the last block that are looked at again, for a request line cut in two."""


class Relay:
    """Counts of one relay since `reset`; `port` is where clients connect to."""

    def __init__(self, *, listener: socket.socket, target: int) -> None:
        self._listener, self._target = listener, target
        self._lock = threading.Lock()
        self.port = int(listener.getsockname()[1])
        self.sent, self.received, self.requests = 0, 0, 0

    @property
    def url(self) -> str:
        """Where clients find the server through the relay."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Start counting anew."""
        with self._lock:
            self.sent, self.received, self.requests = 0, 0, 0

    def accept(self) -> None:
        """Serve connections until the listener is shut down."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for pump, source, sink in ((self._to_server, client, server), (self._to_client, server, client)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()

    def _to_server(self, source: socket.socket, sink: socket.socket) -> None:
        tail = b""
        while data := _receive(source):
            seen = tail + data
            cut = max(0, len(seen) - _LONGEST_LINE)
            # A line found whole in the tail was counted with the block before.
            found = len(_REQUEST_LINE.findall(seen)) - len(_REQUEST_LINE.findall(tail))
            tail = seen[cut:]
            with self._lock:
                self.sent, self.requests = self.sent + len(data), self.requests + found
            _pass_on(sink, data)
        _end(sink)

    def _to_client(self, source: socket.socket, sink: socket.socket) -> None:
        while data := _receive(source):
            with self._lock:
                self.received += len(data)
            _pass_on(sink, data)
        _end(sink)


@contextmanager
def counting_relay(target: int) -> Iterator[Relay]:
    """Relay connections to the port `target` until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(listener=listener, target=target)
        thread = threading.Thread(target=relay.accept, daemon=True)
        thread.start()
        yield relay
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(_BLOCK)
    except OSError:
        return b""


def _pass_on(sink: socket.socket, data: bytes) -> None:
    try:
        sink.sendall(data)
    except OSError:
        return  # the other pump sees the end of the connection, too


def _end(sink: socket.socket) -> None:
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
