"""Profilers around our programs, and the table of where the time went.

py-spy looks at the Python stacks of all threads many times a second, from outside: what is measured runs as it always
does, a few per cent slower.  Threads that wait are left out by what they wait in.  `perf`, where it is installed, sees
what C code and the kernel do in the same time: hashing, copying, the network.
"""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import ENVIRONMENT, RunFailed

_RATE: Final = 250
"""Looks a second."""

_WRITTEN_WITHIN: Final = 60.0
"""Seconds that a profiler gets to write its file."""

_WAITING: Final = (
    "_worker (concurrent/futures/thread.py",  # for work
    "Condition.wait (threading.py",
    "Thread._wait_for_tstate_lock (threading.py",
    "EpollSelector.select (selectors.py",
)
"""Innermost functions of threads that wait; what they do themselves besides is next to nothing."""

Stacks = Counter[tuple[str, ...]]
"""Looks by stack, outermost function first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiler:
    """Where to put what was seen: `folded` gets the stacks as flame graph programs read them, one a line."""

    folded: Path
    perf_data: Path

    @contextmanager
    def attached(self, pid: int) -> Iterator[None]:
        """Look at a running process and its children until the block ends.

        Raises:
            RunFailed: py-spy is missing, or may not look.
        """
        commands = [self._py_spy("--pid", str(pid))]
        if shutil.which("perf"):
            commands.append(["perf", "record", "-q", "-g", "-o", str(self.perf_data), "-p", str(pid)])
        with ExitStack() as running:
            for command in commands:
                running.enter_context(_recording(command))
            yield
        if not self.folded.exists():
            raise RunFailed("py-spy wrote nothing: it needs the right to look into other processes (root)")

    def around(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` under py-spy."""
        return self._py_spy("--", *command)

    def around_perf(self, command: Sequence[str]) -> list[str] | None:
        """Return the command that runs `command` under perf, None without it."""
        if shutil.which("perf") is None:
            return None
        return ["perf", "record", "-q", "-g", "-o", str(self.perf_data), "--", *command]

    def _py_spy(self, *words: str) -> list[str]:
        program = Path(sys.executable).with_name("py-spy")
        if not program.exists():
            raise RunFailed("py-spy is not installed beside this interpreter: make setup")
        look = ["record", "--format", "raw", "--rate", str(_RATE), "--subprocesses", "--output", str(self.folded)]
        return [str(program), *look, *words]


def python_table(folded: Path, *, rows: int) -> str:
    """Return the functions with most time of their own, then those with most time in all, as text."""
    stacks = _read_stacks(folded)
    own, whole = _shares(stacks)
    looks = sum(stacks.values()) or 1
    lines = [f"py-spy: {looks} looks at threads that did something, {_RATE} a second: {looks / _RATE:.1f} s"]
    for title, counter in (("own", own), ("with callees", whole)):
        lines += ["", f"{title:>12}  function"]
        lines += [f"{count / looks:12.1%}  {name}" for name, count in counter.most_common(rows)]
    return "\n".join(lines)


def native_table(data: Path, *, rows: int) -> str:
    """Return what perf saw, by library and by function; empty without perf."""
    if not data.exists():
        return ""
    return "\n\n".join(
        ["perf: share of processor time", *(_perf_report(data, sort=sort, rows=rows) for sort in ("dso", "dso,symbol"))]
    )


@contextmanager
def _recording(command: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)  # it writes what it has
        try:
            process.wait(_WRITTEN_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _perf_report(data: Path, *, sort: str, rows: int) -> str:
    command = ["perf", "report", "-i", str(data), "--stdio", "--no-children", "-g", "none", "--sort", sort]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(lines[:rows])


def _read_stacks(path: Path) -> Stacks:
    stacks: Stacks = Counter()
    for line in path.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        stack = tuple(frames.split(";"))
        if not stack[-1].startswith(_WAITING):
            stacks[stack] += int(count)
    return stacks


def _shares(stacks: Stacks) -> tuple[Counter[str], Counter[str]]:
    """Return the looks by function: at its own code, and at it or what it calls."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, count in stacks.items():
        functions = [_function(frame) for frame in stack]
        own[functions[-1]] += count
        for name in set(functions):
            whole[name] += count
    return own, whole


def _function(frame: str) -> str:
    """Leave out the number of the line, so that a function is one row."""
    name, _, _ = frame.rpartition(":")
    return f"{name})" if name and frame.endswith(")") else frame
