"""Facts about the machine, without which a number says nothing; they stand in the JSON beside the results."""

import os
import platform
import subprocess
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from benchmarks.processes import ENVIRONMENT

_PACKAGES: Final = ("spark-staging", "aiohttp", "urllib3", "msgspec", "sqlalchemy", "uvloop")

Facts = dict[str, str | int | float]


def facts(folder: Path, *, nginx: Path) -> Facts:
    """Return hardware, kernel, versions and the file system of `folder`."""
    return {
        "processor": _first(Path("/proc/cpuinfo"), start="model name"),
        "cores": os.cpu_count() or 0,
        "memory": _first(Path("/proc/meminfo"), start="MemTotal"),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "python": platform.python_version(),
        # Without profile-guided optimisation an interpreter is about a fifth slower; images of Docker Hub have it.
        "python optimised": "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS")),
        "file system": _file_system(folder),
        "curl": _first_line("curl", "--version"),
        "nginx": _first_line(str(nginx), "-v"),
        **{name: _version(name) for name in _PACKAGES},
    }


def load_average() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 2)


def _first(path: Path, *, start: str) -> str:
    for line in path.read_text().splitlines():
        if line.startswith(start):
            return line.partition(":")[2].strip()
    return ""


def _file_system(folder: Path) -> str:
    return _output("stat", "--file-system", "--format=%T", str(folder))


def _first_line(*command: str) -> str:
    return _output(*command).partition("\n")[0]


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    return (done.stdout or done.stderr).strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
