"""A web server for the faults that a real one does not make.

`files` are served with ranges and strong entity tags.  `faults[path]` is a list of functions; each request to that path
takes the first one away and lets it answer.  `requests` notes method, path and Range of every request.
"""

import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from staging_protocol.digests import Digest

Fault = Callable[["Handler"], None]


class FaultyServer:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, str, str | None]] = []
        self.posted: list[tuple[str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.sends_tags = True
        self.knows_ranges = True
        self.repr_digest: str | None = None
        self.over = threading.Event()
        handler = type("BoundHandler", (Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, name: str, content: bytes) -> str:
        self.files[f"/{name}"] = content
        return f"{self.url}/{name}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _v: BaseException | None, _tb: TracebackType | None) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    owner: FaultyServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.owner.requests.append(("POST", self.path, None))
        self.owner.posted.append((self.path, body))
        faults = self.owner.faults[self.path]
        if faults:
            faults.pop(0)(self)
        else:
            self.answer(204, b"")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.owner.requests.append((self.command, path, self.headers.get("Range")))
        self.owner.headers.append(dict(self.headers.items()))
        faults = self.owner.faults[path]
        if faults:
            faults.pop(0)(self)
        elif path not in self.owner.files:
            self.answer(404, b"")
        else:
            self.serve(self.owner.files[path])

    def serve(self, content: bytes, **headers: str) -> None:
        """Answer as a good server does."""
        tag = Digest.of(content).etag
        if self.owner.sends_tags:
            headers |= {"ETag": tag}
            if self.headers.get("If-Match") not in {None, tag}:
                self.answer(412, b"")
                return
        if self.owner.repr_digest:
            headers["Repr-Digest"] = self.owner.repr_digest
        start, stop = self.asked(len(content))
        if not self.owner.knows_ranges or (start, stop) == (0, len(content)):
            self.answer(200, content, **headers)
        elif start >= len(content):
            self.answer(416, b"", **{"Content-Range": f"bytes */{len(content)}"})
        else:
            span = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
            self.answer(206, content[start:stop], **headers, **span)

    def asked(self, size: int) -> tuple[int, int]:
        """Return the range that was asked for."""
        text = self.headers.get("Range")
        if text is None:
            return 0, size
        first, _, last = text.removeprefix("bytes=").partition("-")
        return int(first), min(int(last) + 1 if last else size, size)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send an answer; a given Content-Length is sent as it is, true or not."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is given
        """Be quiet."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError, TimeoutError):
            self.close_connection = True


# --- faults


def status(code: int, **headers: str) -> Fault:
    """Answer with an error."""
    return lambda handler: handler.answer(code, b"no", **headers)


def reset(*, after: int) -> Fault:
    """Send some bytes of the body, then reset the connection."""

    def fault(handler: Handler) -> None:
        _half(handler, after)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.wfile = handler.rfile = _closed(handler)

    return fault


def truncate(*, after: int) -> Fault:
    """Send some bytes of the body, then close the connection as if that were all."""

    def fault(handler: Handler) -> None:
        _half(handler, after)
        handler.close_connection = True

    return fault


def stall(*, after: int) -> Fault:
    """Send some bytes of the body, then nothing, until the server ends."""

    def fault(handler: Handler) -> None:
        _half(handler, after)
        handler.wfile.flush()
        handler.owner.over.wait(30)
        handler.close_connection = True

    return fault


def corrupt(content: bytes) -> Fault:
    """Serve other bytes of the same size under the entity tag of the right ones."""

    def fault(handler: Handler) -> None:
        start, stop = handler.asked(len(content))
        wrong = bytes(byte ^ 1 for byte in content[start:stop])
        headers = {"ETag": Digest.of(content).etag}
        if (start, stop) == (0, len(content)):
            handler.answer(200, wrong, **headers)
        else:
            handler.answer(206, wrong, **headers, **{"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"})

    return fault


def lie(*, size: int) -> Fault:
    """Announce another size than the body has, then close."""

    def fault(handler: Handler) -> None:
        content = handler.owner.files[handler.path]
        handler.answer(200, content, **{"Content-Length": str(size)})
        handler.close_connection = True

    return fault


def silence() -> Fault:
    """Take the request and never answer."""

    def fault(handler: Handler) -> None:
        handler.owner.over.wait(30)
        handler.close_connection = True

    return fault


def wrong_range(text: str) -> Fault:
    """Answer a range with another one."""

    def fault(handler: Handler) -> None:
        content = handler.owner.files[handler.path]
        start, stop = handler.asked(len(content))
        handler.answer(206, content[start:stop], **{"Content-Range": text})

    return fault


def change_to(content: bytes) -> Fault:
    """From now on there is another file."""

    def fault(handler: Handler) -> None:
        handler.owner.files[handler.path] = content
        handler.serve(content)

    return fault


def chunked(content: bytes) -> Fault:
    """Answer without a size."""

    def fault(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(content), 1000):
            piece = content[at : at + 1000]
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    return fault


def without_size(content: bytes) -> Fault:
    """Answer without a size: the end of the connection is the end of the body."""

    def fault(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content)

    return fault


def _half(handler: Handler, count: int) -> None:
    content = handler.owner.files[handler.path]
    start, stop = handler.asked(len(content))
    handler.send_response(206)
    handler.send_header("ETag", Digest.of(content).etag)
    handler.send_header("Content-Length", str(stop - start))
    handler.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
    handler.end_headers()
    handler.wfile.write(content[start : start + count])


def _closed(handler: Handler) -> Any:
    handler.close_connection = True
    handler.connection.close()
    return handler.wfile
