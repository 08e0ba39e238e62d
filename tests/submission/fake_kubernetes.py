"""As much of a Kubernetes API server as `run` talks to: Secrets, and pods that the fake spark-submit makes."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SECRETS = re.compile(r"/api/v1/namespaces/([^/]+)/secrets(?:/([^/?]+))?")
_PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods\?(.*)")


class FakeKubernetes:
    """What the server holds.  `refused` makes every call to Secrets a 403."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.secrets: dict[tuple[str, str], dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.pods: list[dict[str, Any]] = []
        self.selectors: list[str] = []
        self.refused = False

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/test/pods":
            self.pods.append({"metadata": body})
            return 200, {}
        if path == "/test/owners":
            return 200, [
                secret["metadata"]["ownerReferences"]
                for secret in self.secrets.values()
                if "ownerReferences" in secret["metadata"]
            ]
        if self.refused:
            return 403, {"kind": "Status", "message": 'secrets is forbidden: User "alice" cannot create'}
        if match := _SECRETS.fullmatch(path):
            return self._secret(method, namespace=match[1], name=match[2], body=body)
        if match := _PODS.fullmatch(path):
            self.selectors.append(match[2])
            return 200, {"kind": "PodList", "items": self.pods}
        return 404, {"kind": "Status", "message": f"no route {method} {path}"}

    def _secret(self, method: str, *, namespace: str, name: str | None, body: Any) -> tuple[int, Any]:
        key = (namespace, name or body["metadata"]["name"])
        if method == "POST":
            self.secrets[key] = body
            return 201, body
        if key not in self.secrets:
            return 404, {"kind": "Status", "message": "no such secret"}
        if method == "PATCH":
            self.secrets[key]["metadata"].update(body["metadata"])
        if method == "DELETE":
            self.deleted.append(key[1])
            del self.secrets[key]
            return 200, {"kind": "Status", "status": "Success"}
        return 200, self.secrets[key]


@contextmanager
def fake_kubernetes() -> Iterator[FakeKubernetes]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(size)
            status, body = state.answer(self.command, self.path, json.loads(data) if data else None)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names of the standard library

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = FakeKubernetes(f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
