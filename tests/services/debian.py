"""Debian's packages, unpacked into the user's cache folder: that needs no root, and the machine stays as it is.

`apt-get download` fetches them and `dpkg -x` unpacks them; a program that brings libraries gets them by
`LD_LIBRARY_PATH`.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path.home() / ".cache" / "spark-staging"


class PackageMissing(Exception):
    """A program is not on this machine and could not be fetched; the message says why."""


def unpacked(*packages: str, into: Path, program: str) -> Path:
    """Return the folder `into` with the contents of `packages`, fetched when its file `program` is not there.

    Raises:
        PackageMissing: this is no Debian, or its package sources cannot be reached.
    """
    if (into / program).is_file():
        return into
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        msg = f"{packages[0]} is not installed, and without apt-get and dpkg it cannot be fetched: install it"
        raise PackageMissing(msg)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        tree = _fetch(packages, folder=Path(folder))
        try:
            tree.rename(into)
        except OSError:
            if not (into / program).is_file():  # else another run was faster
                raise
    return into


def _fetch(packages: tuple[str, ...], *, folder: Path) -> Path:
    done = subprocess.run(["apt-get", "download", *packages], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"{packages[0]} is not installed, and apt-get cannot download it: {done.stderr.strip()[-400:]}"
        raise PackageMissing(msg)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder / "tree")], check=True)
    return folder / "tree"
