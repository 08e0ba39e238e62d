"""Trees of processes in Linux's /proc: who belongs to them, what they cost, where they run."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def tree_of(root: int) -> list[int]:
    """Return a process and all below it."""
    pids = [root]
    for pid in pids:  # grows while we go through it
        for thread in _threads(pid):
            pids.extend(int(child) for child in _read(thread / "children").split())
    return pids


def _threads(pid: int) -> list[Path]:
    try:
        return list((_PROC / str(pid) / "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended between two looks


def _pss(pid: int) -> int:
    for line in _read(_PROC / str(pid) / "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_of_tree(root: int | None) -> float:
    """Return the CPU seconds of a process and all below it so far, 0 without one."""
    return 0.0 if root is None else sum(_ticks(pid) for pid in tree_of(root)) / _TICKS


def _ticks(pid: int) -> int:
    # proc(5): the name in parentheses may hold anything; utime, stime, cutime, cstime are fields 14 to 17.
    fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def busy_cpu() -> float:
    """Return the CPU seconds of the whole machine so far."""
    # proc(5), first line of stat: user nice system idle iowait irq softirq steal …
    user, nice, system, _, _, irq, softirq, *_ = (int(field) for field in _read(_PROC / "stat").split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""  # it ended between two looks


def is_running(pid: int) -> bool:
    """Tell whether a process has not ended; one that nobody waited for has no memory any more."""
    return _pss(pid) > 0


def pss_of_tree(root: int) -> int:
    """Return the proportional memory of a process and all below it, in bytes."""
    return sum(_pss(pid) for pid in tree_of(root))


def on_cores(cores: set[int] | None, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` on these processors only, on all without any named."""
    if cores is None:
        return list(command)
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *command]


def put_on_cores(pid: int, cores: set[int]) -> None:
    """Let a running process and all below it use these processors only; new threads and processes inherit that."""
    for process in tree_of(pid):
        for thread in _threads(process):
            os.sched_setaffinity(int(thread.name), cores)
