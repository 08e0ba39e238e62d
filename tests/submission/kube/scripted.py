"""An API server that says what a test tells it to, byte by byte where that matters; for what a real one does not do.

server.will(refuse(429, Retry_After="1"), obj({"kind": "Pod"}))
…                                  # two requests
assert [one.method for one in server.asked] == ["GET", "GET"]
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from submission.kube.api import KubeApi
from submission.kube.connect import kube_api


@dataclass(frozen=True)
class Asked:
    """A request as it came, and when."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float


Says = Callable[["Handler"], None]


class Scripted:
    """`asked` notes every request; what it says is used up in turn, the last one again and again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._says: list[Says] = []
        self._lock = threading.Lock()

    def will(self, *says: Says) -> None:
        """Say these things from now on."""
        with self._lock:
            self._says = list(says)
            self.asked = []

    def next(self, asked: Asked) -> Says:
        """Note a request; return what to say to it."""
        with self._lock:
            self.asked.append(asked)
            return self._says.pop(0) if len(self._says) > 1 else self._says[0]


class Handler(BaseHTTPRequestHandler):
    owner: Scripted
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = json.loads(data) if data else None
        asked = Asked(self.command, url.path, query, dict(self.headers.items()), body, time.monotonic())
        self.owner.next(asked)(self)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names of the standard library

    def say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


def obj(content: Any, **headers: str) -> Says:
    """Answer with an object."""
    return lambda handler: handler.say(200, json.dumps(content).encode(), **headers)


def refuse(status: int, reason: str = "", message: str = "because", /, **headers: str) -> Says:
    """Refuse as an API server does."""
    said = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": status}
    return lambda handler: handler.say(status, json.dumps(said).encode(), **headers)


def raw(status: int, body: bytes, **headers: str) -> Says:
    """Answer with these bytes; a given Content-Length is sent as it is, true or not."""

    def says(handler: Handler) -> None:
        handler.close_connection = True
        handler.say(status, body, **headers)

    return says


def hang_up(handler: Handler) -> None:
    """Take the request, and close the connection."""
    handler.close_connection = True


def stream(*pieces: bytes | threading.Event, ends: bool = True) -> Says:
    """Answer in chunks; wait for each event; `ends=False` breaks off without the last chunk."""

    def says(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            if isinstance(piece, threading.Event):
                while not piece.wait(0.02) and not handler.owner.over.is_set():
                    pass
            else:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if ends:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.close_connection = True

    return says


class _Quiet(ThreadingHTTPServer):
    """Says nothing of clients that leave, or that are refused."""

    def handle_error(self, *_: Any) -> None:
        """Stay quiet."""


@contextmanager
def scripted(port: int = 0, *, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    handler = type("BoundHandler", (Handler,), {})
    httpd = _Quiet(("127.0.0.1", port), handler)
    if tls is not None:
        # Hands are shaken by the thread of each connection, which may refuse the client.
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    state = Scripted(f"http{'s' if tls else ''}://127.0.0.1:{httpd.server_address[1]}")
    handler.owner = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def write_kubeconfig(
    path: Path, url: str, *, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None
) -> Path:
    """Write a kubeconfig of one context, `here`."""
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "me", "user": user or {}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path


@contextmanager
def opened(
    kubeconfig: Path,
    *,
    context: str | None = None,
    master: str | None = None,
    retry_seconds: float = 10,
    notice: Callable[[str], None] | None = None,
) -> Iterator[KubeApi]:
    with kube_api(
        kubeconfig=str(kubeconfig), context=context, master=master, retry_seconds=retry_seconds, notice=notice
    ) as api:
        yield api
