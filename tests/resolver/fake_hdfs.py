"""A web server that says what an HDFS may say and the one of the tests does not: Kerberos, HttpFS, Hadoop 3, lies.

`answers` has what is said to each operation, one after another; the last one is said again and again.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One question."""

    operation: str
    path: str
    parameters: Mapping[str, str]


def says(value: object, *, status: int = 200) -> Said:
    """Answer with JSON."""
    return Said(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def throws(exception: str, message: str = "a word from Java\n\tat org.apache.hadoop.X", *, status: int = 403) -> Said:
    """Answer with an exception."""
    return says({"RemoteException": {"exception": exception, "message": message}}, status=status)


def status_of(content: bytes, **fields: object) -> dict[str, object]:
    """Return how a file is described."""
    return {"type": "FILE", "length": len(content), "modificationTime": 1, "pathSuffix": "", "fileId": 16386, **fields}


def listing_of(*statuses: dict[str, object]) -> dict[str, object]:
    """Return how a folder is described."""
    return {"FileStatuses": {"FileStatus": list(statuses)}}


class FakeHdfs:
    """A running server, which is NameNode and DataNode at once; redirects without a place lead back to itself."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Said]] = {}
        self.asked: list[Asked] = []
        handler = type("BoundHandler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def has(self, content: bytes, **fields: object) -> None:
        """Have one file, whatever its path."""
        self.answers["GETFILESTATUS"] = [says({"FileStatus": status_of(content, **fields)})]
        self.answers["OPEN"] = [self.redirect()]
        self.answers["DATA"] = [Said(200, content)]
        self.answers["GETFILECHECKSUM"] = [throws("UnsupportedOperationException", status=400)]

    def redirect(self, to: str | None = None, *, operation: str = "DATA", more: str = "") -> Said:
        """Send to a DataNode: by default to this server, which is asked another operation there."""
        return Said(307, b"", {"Location": to or f"{self.url}/webhdfs/v1/a.jar?op={operation}{more}"})

    def operations(self) -> list[str]:
        """Return what was asked, without parameters."""
        return [asked.operation for asked in self.asked]

    def answer_to(self, target: str) -> Said:
        """Note a question and choose its answer."""
        url = urlsplit(target)
        parameters = dict(parse_qsl(url.query, keep_blank_values=True))
        asked = Asked(parameters.pop("op", ""), unquote(url.path).removeprefix("/webhdfs/v1"), parameters)
        self.asked.append(asked)
        answers = self.answers.get(asked.operation) or [throws("IllegalArgumentException", status=400)]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _v: BaseException | None, _tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    owner: FakeHdfs
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        said = self.owner.answer_to(self.path)
        self.send_response(said.status)
        headers = {"Content-Type": "text/html", "Content-Length": str(len(said.body)), **said.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is given
        pass
