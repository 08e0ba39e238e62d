"""Stock Spark from PyPI, whose package `pyspark` holds a whole Spark; kept in the user's cache folder.

Each version gets a virtual environment of its own.  Of several runs one fetches, and the others wait.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SPARK_VERSIONS: Final = ("4.3.0", "3.5.9")
"""The newest Spark and the newest 3.5; they differ in Scala, in `spark.files`, and in what the driver downloads."""

ALL_VERSIONS: Final = (*SPARK_VERSIONS, "4.2.1", "4.1.4", "4.0.5", "3.4.4")
"""The last one of each minor version that is supported."""

_FETCHED_WITHIN: Final = 1800.0
"""Seconds; it is half a gigabyte."""


class SparkMissingError(Exception):
    """Spark is not on this machine and could not be fetched, or cannot run here; the message says why."""


@dataclass(frozen=True)
class Spark:
    """One installed version."""

    version: str
    home: Path

    @property
    def submit(self) -> str:
        """Path of the stock `spark-submit`."""
        return str(self.home / "bin" / "spark-submit")

    @property
    def class_path(self) -> str:
        """What a Java job is compiled against."""
        return str(self.home / "jars" / "*")


def cache_folder() -> Path:
    """Return where downloads are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"  # noqa: TID251 - the suite has no settings module
    return Path(cache).expanduser() / "spark-staging"


def install_spark(version: str) -> Spark:
    """Return Spark of that version, downloaded at the first call.

    Raises:
        SparkMissingError: there is no Java, or PyPI cannot be reached.
    """
    if shutil.which("java") is None:
        msg = "java is not on PATH: stock spark-submit needs Java 17 on this machine (Debian: openjdk-17-jdk-headless)"
        raise SparkMissingError(msg)
    folder = cache_folder() / f"spark-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _fetch(version, folder)
    return Spark(version=version, home=next(folder.glob("lib/python*/site-packages/pyspark")))


def _fetch(version: str, folder: Path) -> None:
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--no-compile", "--no-deps", f"pyspark=={version}")
    (folder / "complete").touch()


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_FETCHED_WITHIN)
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or b""
        msg = f"Spark cannot be fetched from PyPI: {error}\n{said.decode(errors='replace')[-2000:]}"
        raise SparkMissingError(msg) from error
