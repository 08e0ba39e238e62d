"""How long a server takes to start: until its port is bound, and from there until it says that it is ready.

What comes in between waits in the queue of the socket, so that is how long a client waits at a restart.
"""

import http.client
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import RunFailed, running
from benchmarks.staging import program

_HOST: Final = "127.0.0.1"
_WITHIN: Final = 60.0
"""Seconds for the whole start."""
_LOOK_EVERY: Final = 0.002
"""Seconds between two looks at whether the port is bound: a small part of what is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Seconds from the start of the process to the bind, and from the bind to `/readyz`."""

    bound: float
    ready: float

    @property
    def whole(self) -> float:
        """Seconds of both."""
        return self.bound + self.ready


def measure_start(folder: Path) -> Start:
    """Start a server over `folder/server`, as operators do, and end it again."""
    with socket.create_server((_HOST, 0)) as listener:
        port = int(listener.getsockname()[1])
    given = {"PORT": str(port), "STORAGE__FOLDER": str(folder / "server"), "AUTH__MODE": "none"}
    environment = {f"SPARK_STAGING_SERVER_{name}": value for name, value in given.items()}
    began = time.monotonic()
    with running([program("spark-staging-server"), "serve"], environment=environment, log=folder / "start.log"):
        connection = http.client.HTTPConnection(_HOST, port, timeout=_WITHIN)
        try:
            _connect(connection, until=began + _WITHIN)
            bound = time.monotonic()
            connection.request("GET", "/readyz")
            if connection.getresponse().status != http.client.OK:
                raise RunFailed("the server is not ready")
            return Start(bound=bound - began, ready=time.monotonic() - bound)
        finally:
            connection.close()


def _connect(connection: http.client.HTTPConnection, *, until: float) -> None:
    """Connect as soon as the port is bound; the kernel takes connections before the server does."""
    while True:
        try:
            connection.connect()
        except ConnectionRefusedError:
            if time.monotonic() >= until:
                raise RunFailed("the server does not bind its port") from None
            time.sleep(_LOOK_EVERY)
        else:
            return
