"""Prometheus' own judge of rules, `promtool`: the one of this machine, or Debian's, unpacked into the cache folder."""

import shutil
from pathlib import Path
from typing import Final

from tests.services.debian import CACHE, unpacked

_PROGRAM: Final = "usr/bin/promtool"


def find_promtool() -> Path:
    """Return the program, fetched when it is not there.

    Raises:
        PackageMissing: it is not installed and cannot be fetched.
    """
    installed = shutil.which("promtool")
    return (
        Path(installed) if installed else unpacked("prometheus", into=CACHE / "prometheus", program=_PROGRAM) / _PROGRAM
    )
