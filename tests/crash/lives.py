"""Processes that are to be killed, as the tests hold them."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.end_to_end.programs import Place

_ROOT: Final = Path(__file__).parents[2]
_PATIENCE: Final = 60.0
"""Seconds for whatever takes milliseconds on an idle machine."""

KILLED: Final = -signal.SIGKILL


class Nursery:
    """The process that forks (`tests.crash.nursery`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._count = 0

    def start(
        self,
        program: str,
        *arguments: str,
        environment: Mapping[str, str],
        arm: Mapping[str, Any] | None = None,
        log: Path | None = None,
        lazy: bool = False,
    ) -> "Life":
        """Start `server`, `submission` or `init`; with `arm` its steps are counted from the first one on.

        A `lazy` one flushes nothing by itself (a database still does), to see whether tests notice.
        """
        self._count += 1
        control = self._folder / f"control-{self._count}"
        log = log or self._folder / "log"
        request = {"main": program, "arguments": arguments, "environment": dict(environment), "log": str(log)}
        answer = self._ask({**request, "control": str(control), "arm": arm, "lazy": lazy})
        return Life(nursery=self, pid=answer["pid"], control=control, log=log)

    def wait(self, pid: int) -> int:
        """Wait for the end of a process and return its exit code, or the negative number of a signal."""
        return int(self._ask({"wait": pid})["code"])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=_PATIENCE)
        self._process.stdout.close()

    def _ask(self, request: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@dataclass(kw_only=True)
class Life:
    """One process, from its start to its death."""

    nursery: Nursery
    pid: int
    control: Path
    log: Path
    code: int | None = None

    def arm(self, *, at: int | None, error: int | None = None, only: Collection[str] = ()) -> None:
        """See `Steps.arm`."""
        self._order({"at": at, "error": error, "only": list(only)})

    def disarm(self) -> list[str]:
        """Return the steps that were counted; raises ConnectionError when the process is dead."""
        return list(self._order(None))

    def kill(self) -> None:
        """SIGKILL."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end."""
        if self.code is None:
            self.code = self.nursery.wait(self.pid)
            self.control.unlink(missing_ok=True)
        return self.code

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and wait."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)
        return self.wait()

    def _order(self, order: Mapping[str, Any] | None) -> Any:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(_PATIENCE)
            peer.connect(str(self.control))
            with peer.makefile("rw") as lines:
                lines.write(json.dumps(order) + "\n")
                lines.flush()
                answer = lines.readline()
        if not answer:
            raise ConnectionResetError("it died meanwhile")
        return json.loads(answer)


def environment_of(folder: Path, *, port: int, **settings: Any) -> dict[str, str]:
    """Return the environment of a server over `folder`; settings are named `GROUP__FIELD`."""
    small: dict[str, Any] = {
        "PORT": port,
        "STORAGE__FOLDER": folder,
        # Few threads, so that a test's steps come in nearly the same order each time.
        "STORAGE__IO_THREADS": 2,
        "STORAGE__READERS": 1,
        "STORAGE__WRITE_BUFFER": 65_536,
        "STORAGE__FLUSH_EVERY": 131_072,
        "RETENTION__TIME_TO_LIVE": 0.05,
        "RETENTION__MIN_AGE": 0.001,
        "RETENTION__BLOB_KEEP": 0.01,
        "RETENTION__BLOB_GRACE": 0,
        "RETENTION__SWEEP_EVERY": 3600,
        "LIMITS__NAMESPACE_SIZE": 10**12,
        "LIMITS__DISK_HIGH_WATER": 1,
        "TIMEOUTS__SHUTDOWN": 5,
    }
    path = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251 - for a child
    return path | {f"SPARK_STAGING_SERVER_{name}": str(value) for name, value in {**small, **settings}.items()}


@dataclass(kw_only=True)
class Server(Place):
    """A server that lives many times in one place."""

    nursery: Nursery
    settings: Mapping[str, Any] = field(default_factory=dict)
    lazy: bool = False
    life: Life | None = None

    def environment(self, **settings: Any) -> dict[str, str]:
        """Return the environment of it and of its commands."""
        return environment_of(self.data, port=self.port, **{**self.settings, **settings})

    def start(self, **settings: Any) -> Life:
        """Begin a life and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.life = self.nursery.start(
            "server", "serve", environment=self.environment(**settings), log=self.log, lazy=self.lazy
        )
        if not self.comes_up():
            message = f"the server did not start (exit code {self.life.end(signal.SIGKILL)}):\n{self.said()}"
            raise AssertionError(message)
        return self.life

    def comes_up(self) -> bool:
        """Wait until it answers; False when it dies before."""
        assert self.life is not None
        deadline = time.monotonic() + _PATIENCE
        while not self.answers():
            if time.monotonic() > deadline or not lives(self.life.pid):
                return False
            time.sleep(0.004)
        return True

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the present life."""
        assert self.life is not None
        return self.life.end(how)


def lives(pid: int) -> bool:
    """Whether a process is there and not only its entry in the table, until the nursery looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Run a nursery; its sockets lie in a short path of their own, because Unix allows no long ones."""
    with tempfile.TemporaryDirectory(prefix="crash-") as name:
        made = Nursery(Path(name))
        try:
            yield made
        finally:
            made.close()
