"""The command `serve` as processes of its own, several if need be, with plain blocking clients of it."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.staging_server.live import BYTES, JSON, digest_of, new_file

_ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running server; `token` goes with each request that names no other."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path
    tls: ssl.SSLContext | None = None
    token: str | None = None

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is kept until it is closed."""
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=_PATIENCE, context=self.tls)

    def raw(self) -> socket.socket:
        """Return a bare connection, encrypted when the server is."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE)
        return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname="127.0.0.1")

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        on: http.client.HTTPConnection | None = None,
    ) -> Reply:
        """Send one request, on a connection of its own unless one is given."""
        fields = dict(headers or {})
        bearer = token or self.token
        if bearer is not None:
            fields["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            data, fields = json.dumps(body).encode(), {**JSON, **fields}
        connection = on or self.connect()
        try:
            connection.request(method, path, body=data, headers=fields)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.headers))
        finally:
            if on is None:
                connection.close()

    def stage(self, content: bytes, *, namespace: str = "team-a") -> Any:
        """Create, upload and seal a bundle of one jar; return the JSON of the create."""
        base = f"/v1/namespaces/{namespace}"
        made = self.call("POST", f"{base}/bundles", body={"application": "job", "files": [new_file(content)]}).json
        if made["files"] == ["wanted"]:
            put = self.call("PUT", f"{base}/blobs/{digest_of(content)}", data=content, headers=BYTES)
            assert put.status == 201, put.body
            assert self.call("POST", f"{base}/bundles/{made['id']}/seal").status == 200
        return made

    def children(self) -> list[psutil.Process]:
        """Return the worker processes that live now, by name."""
        found = psutil.Process(self.process.pid).children()
        return sorted(found, key=name_of)

    def logs(self) -> list[dict[str, Any]]:
        """Return all lines logged so far."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def metric(self, name: str) -> float:
        """Return the value of a metric, 0 when it is not there."""
        text = self.call("GET", "/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return 0.0 if found is None else float(found[1])


def name_of(process: psutil.Process) -> str:
    """Return the name that `ps` shows for a worker."""
    with contextlib.suppress(psutil.NoSuchProcess):
        line = process.cmdline()
        if "staging_server.workers" in line:
            return line[line.index("staging_server.workers") + 1]
    return ""


def file_of(made: Any, *, namespace: str = "team-a") -> str:
    """Return the path of the jar of a bundle."""
    return f"/v1/namespaces/{namespace}/bundles/{made['id']}/files/jar/a.jar"


@contextmanager
def served(
    folder: Path,
    *arguments: str,
    tls: ssl.SSLContext | None = None,
    token: str | None = None,
    variables: Mapping[str, str] | None = None,
    all_ready: bool = True,
    **environment: str,
) -> Iterator[Served]:
    """Run `serve` with its data in `folder` until the block ends; `environment` holds settings without their prefix.

    With `all_ready` its workers are waited for, too.
    """
    settings = {f"SPARK_STAGING_SERVER_{name}": value for name, value in environment.items()}
    env = {**os.environ, "PYTHONPATH": str(_ROOT), **settings, **(variables or {})}  # noqa: TID251 - for a child
    command = [sys.executable, "-m", "staging_server.cli", "serve", "--port", "0", "--folder", str(folder / "data")]
    log_file = folder / "server.log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen([*command, *arguments], stderr=log, stdout=log, env=env, cwd=folder) as process,
    ):
        try:
            port = _port(process, log_file, all_ready=all_ready)
            yield Served(process=process, port=port, log_file=log_file, tls=tls, token=token)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def wait_until(condition: Callable[[], bool], *, seconds: float = _PATIENCE) -> None:
    """Wait until `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def _port(process: subprocess.Popen[bytes], log_file: Path, *, all_ready: bool) -> int:
    found: list[int] = []

    def is_listening() -> bool:
        text = log_file.read_text()
        assert process.poll() is None, text
        match = re.search(r'"url":"https?://[^"]*:(\d+)".*"workers":(\d+),.*"event":"listening"', text)
        if match is None or (all_ready and text.count('"event":"worker ready"') < int(match[2]) - 1):
            return False
        found.append(int(match[1]))
        return True

    wait_until(is_listening)
    return found[0]
