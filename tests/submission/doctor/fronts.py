"""What stands where a staging server should be: one whose answers are changed, a web server, any certificate."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

Change = Callable[[dict[str, str], bytes], bytes]
"""Changes the headers in place, and returns the body that is sent instead."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    behind = ""
    change: Change

    def _answer(self) -> None:
        with_body = int(self.headers.get("Content-Length", 0))
        asked = HTTPConnection(urlsplit(self.behind).netloc)
        try:
            headers = {name: value for name, value in self.headers.items() if name not in {"Host", "Content-Length"}}
            asked.request(self.command, self.path, body=self.rfile.read(with_body), headers=headers)
            answer = asked.getresponse()
            headers, body = dict(answer.getheaders()), answer.read()
        finally:
            asked.close()
        body = type(self).change(headers, body)
        headers["Content-Length"] = str(len(body))
        self.send_response_only(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextmanager
def changed(url: str, change: Change) -> Iterator[str]:
    """Yield the URL of a server that answers as the one at `url`, but for what `change` does."""
    handler = type("Bound", (_Handler,), {"behind": url, "change": staticmethod(change)})
    with _served(handler) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def website(status: int) -> Iterator[str]:
    """Yield the URL of a server that answers everything with a page."""

    class Page(_Handler):
        def _answer(self) -> None:
            body = b"<html>welcome</html>"
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - as above

    with _served(Page) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def with_certificate(certificate: Path, key: Path) -> Iterator[str]:
    """Yield the URL of a server that shows a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with _served(_Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        yield f"https://127.0.0.1:{server.server_address[1]}"


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that do not like us leave
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            server.shutdown()
        server.server_close()
        thread.join()
