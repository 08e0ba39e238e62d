"""Where the runs of a download write, and whether everything came."""

import shutil
from pathlib import Path

from benchmarks.processes import RunFailed


class Places:
    """A new folder for each run.

    Many small files are not deleted before all is measured: ext4 without a journal looks through the inodes of lately
    deleted files whenever one is made, which took half of the time of whoever came next.
    """

    def __init__(self, folder: Path, *, count: int, suffix: str = ".jar") -> None:
        self._folder, self._count, self._suffix, self._used = folder, count, suffix, 0

    def next(self) -> Path:
        """Return an empty folder."""
        if self._count == 1:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._used += 1
        place = self._folder / f"{self._used:03d}"
        place.mkdir(parents=True)
        return place

    def check(self, place: Path, *, size: int | None = None) -> None:
        """Raise RunFailed unless all files are there, each of `size` bytes."""
        found = [path for path in place.rglob(f"*{self._suffix}") if path.is_file()]
        if len(found) != self._count:
            msg = f"{len(found)} of {self._count} files were downloaded"
            raise RunFailed(msg)
        if size is not None and any(path.stat().st_size != size for path in found):
            msg = f"a file has not the {size} bytes that it should have"
            raise RunFailed(msg)
