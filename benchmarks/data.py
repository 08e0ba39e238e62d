"""Files to move: random bytes, so that nothing on the way can compress them, made new where a run needs new ones."""

import hashlib
import os
from pathlib import Path
from typing import Final

from benchmarks.scenario import MIB
from staging_protocol.digests import Digest

_MARK: Final = 32
"""Bytes of a file that make it another one."""


def random_file(path: Path, *, size: int) -> Path:
    """Write `size` random bytes and return `path`.  Blocks repeat after 64 MiB: nothing here looks further back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = os.urandom(min(size, 64 * MIB))
    with path.open("wb") as file:
        left = size
        while left > 0:
            left -= file.write(block[:left])
    return path


def random_files(folder: Path, *, count: int, size: int, suffix: str) -> list[Path]:
    """Write `count` different files and return their paths."""
    return [random_file(folder / f"{number:05d}{suffix}", size=size) for number in range(count)]


def renew(path: Path) -> None:
    """Make another content of the same size, so that its digest is new to a server."""
    with path.open("r+b") as file:
        file.write(os.urandom(_MARK))


class Stamped:
    """Any number of different contents of one size at the price of one: a common file, then a stamp of 32 bytes.

    The digest of each is known at once, so that preparing a run does not take longer than the run.
    """

    def __init__(self, path: Path, *, size: int) -> None:
        """Write the common part to `path`."""
        self.path = random_file(path, size=size - _MARK)
        self.size = size
        with self.path.open("rb") as file:
            self._common = hashlib.file_digest(file, "sha256")

    def new(self) -> tuple[bytes, Digest]:
        """Return a stamp that was never there, and the digest of the content that ends with it."""
        stamp, whole = os.urandom(_MARK), self._common.copy()
        whole.update(stamp)
        return stamp, Digest.of_hash(whole.digest())


def settle() -> None:
    """Write what is dirty, so that no run pays for the writing of the one before."""
    os.sync()
