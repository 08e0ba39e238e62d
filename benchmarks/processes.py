"""What processes cost: CPU seconds and proportional memory (PSS), read from Linux's /proc.

A side has up to two trees of processes: a server, which runs before and after, and a client, started for one run.

    CPU    user + system.  Server: all processes of its tree, and those that it reaped.  Client: what the kernel
           accounts to it and its children when it ends.  Ticks of 10 ms for the server, microseconds for the client.
    PSS    sum over a tree, at its highest of about 20 looks a second.  A page shared by n processes counts 1/n for
           each, page cache that nobody maps counts for none.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import IO, Final

from benchmarks.trees import busy_cpu, cpu_of_tree, is_running, pss_of_tree, tree_of

_LOOKS_A_SECOND: Final = 20
_STOPPED_WITHIN: Final = 20.0
"""Seconds that a server gets to end after SIGTERM."""

# Programs see this and nothing else, so that a shell's settings (proxies, PYTHON…) change no result.
ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
    "HOME": str(Path.home()),
    "LANG": "C.UTF-8",
}


class RunFailed(Exception):
    """A program of a scenario failed, so there is nothing to compare; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds, and the peak of PSS in bytes."""

    cpu: float
    pss: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of a client.

    Attributes:
        seconds: from its start to its end.
        server: cost of the server meanwhile; None where the run has no server.
        client: cost of the client's processes.
        others: CPU cores that processes of neither side kept busy meanwhile, the harness included.
        output: what the client printed.
    """

    seconds: float
    server: Cost | None
    client: Cost
    others: float
    output: str


def measure(
    command: Sequence[str],
    *,
    server: int | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    folder: Path | None = None,
) -> Measured:
    """Run `command` to its end while watching it and the tree of `server`.

    Raises:
        RunFailed: it did not end with 0.
    """
    cpu_before, busy_before = cpu_of_tree(server), busy_cpu()
    begin = perf_counter()
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
            env={**ENVIRONMENT, **(environment or {})},
        ) as process,
        _watched(server) as server_peak,
        _watched(process.pid) as client_peak,
    ):  # fmt: skip
        output, errors = _Drained(process.stdout), _Drained(process.stderr)
        _feed(process.stdin, stdin)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        msg = f"{' '.join(command[:3])} … ended with {process.returncode}: {errors.text[-800:] or output.text[-800:]}"
        raise RunFailed(msg)
    client_cpu, server_cpu = usage.ru_utime + usage.ru_stime, cpu_of_tree(server) - cpu_before
    return Measured(
        seconds=seconds,
        server=None if server is None else Cost(cpu=server_cpu, pss=server_peak.bytes),
        client=Cost(cpu=client_cpu, pss=client_peak.bytes),
        others=max(0.0, (busy_cpu() - busy_before - client_cpu - server_cpu) / seconds),
        output=output.text,
    )


@contextmanager
def running(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; what it prints goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**ENVIRONMENT, **environment}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_children() -> None:
    """End every process that we started and that is still there: a signal may come just while one is being started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = monotonic() + _STOPPED_WITHIN
        for pid in _children():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while _children() and monotonic() < deadline:
            sleep(0.05)


def _children() -> list[int]:
    return [pid for pid in tree_of(os.getpid())[1:] if is_running(pid)]


class _Peak:
    """The highest PSS of a tree so far."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def _watched(root: int | None) -> Iterator[_Peak]:
    peak, ended = _Peak(), threading.Event()
    if root is None:
        yield peak
        return
    thread = threading.Thread(target=_watch, args=(root, peak, ended), daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _watch(root: int, peak: _Peak, ended: threading.Event) -> None:
    while True:
        began = monotonic()
        peak.bytes = max(peak.bytes, pss_of_tree(root))
        if ended.wait(max(0.0, 1 / _LOOKS_A_SECOND - (monotonic() - began))):
            return


class _Drained:
    """Reads a pipe to its end in a thread, so that the program never waits for us."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._data = b""
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        if self._pipe is not None:
            self._data = self._pipe.read()

    @property
    def text(self) -> str:
        self._thread.join()
        return self._data.decode(errors="replace").strip()


def _feed(pipe: IO[bytes] | None, data: bytes) -> None:
    if pipe is not None:
        pipe.write(data)
        pipe.close()
