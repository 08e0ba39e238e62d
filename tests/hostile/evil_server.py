"""A server that answers every request with the same bytes, whatever they are, and notes what it was asked."""

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

Said = bytes | Iterable[bytes]
"""All at once, or piece by piece until the client has enough."""


class EvilServer:
    """Listens on loopback while its `with` block runs; one connection at a time."""

    def __init__(self, said: Said) -> None:
        self._said = said
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._live = self._socket
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for one in (self._socket, self._live):  # a client may keep a connection for later
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._live = connection
            with connection:
                try:
                    self._answer(connection)
                except OSError:
                    continue  # the client has had enough

    def _answer(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        self.requests.append(data)
        for piece in (self._said,) if isinstance(self._said, bytes) else self._said:
            connection.sendall(piece)
        # Closing with bytes unread would reset what was just said.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            continue


def answer(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a whole answer that says its size."""
    known = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s" % (status, len(body), known, body)
