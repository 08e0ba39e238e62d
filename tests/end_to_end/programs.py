"""The three programs as real processes, as a person starts them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

_BIN: Final = Path(sys.executable).parent
_READY_WITHIN: Final = 20.0
"""Seconds; a start takes less than one on an idle machine."""

_ANSWERS_WITHIN: Final = 5.0

# What a person may have set for a server of their own must not reach these processes.
_CLEAN: Final = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_STAGING")}  # noqa: TID251


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class Place:
    """Where a server is, whichever process it has: a folder, and a port of loopback."""

    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says, in all its lives."""
        return self.folder / "server.log"

    def answers(self, path: str = "/livez") -> bool:
        """Ask once; whether all is well."""
        peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWERS_WITHIN)
        try:
            peer.request("GET", path)
            return peer.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            peer.close()


@dataclass(kw_only=True)
class Server(Place):
    """`spark-staging-server serve` in its place."""

    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """What the server's own commands are run with."""
        return {
            **_CLEAN,
            "SPARK_STAGING_SERVER_PORT": str(self.port),
            "SPARK_STAGING_SERVER_STORAGE__FOLDER": str(self.data),
            **{f"SPARK_STAGING_SERVER_{name}": value for name, value in self.settings.items()},
        }

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [_BIN / "spark-staging-server", "serve"], env=self.environment(), stdout=log, stderr=log
            )
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not self.answers("/readyz"):
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                message = f"the server did not start:\n{self.log.read_text()[-2000:]}"
                raise RuntimeError(message)
            time.sleep(0.02)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start the server, and stop whatever process it has at the end."""
    server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.stop()


def run(
    program: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of our programs to its end and return what it said."""
    return subprocess.run(
        [_BIN / program, *arguments],
        env={**_CLEAN, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
