"""Digests remembered between runs, so that an unchanged file is not read again.

A row holds the digest of one version of one inode.  SQLite makes concurrent runs safe.  The cache is a convenience:
when it cannot be read or written, files are hashed, and nothing else changes.

A file that was written less than two seconds before it was hashed is not remembered: a further write could leave the
same size and, on coarse clocks, the same times (git calls such an entry racy).
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from submission.staging.local_files import FileVersion

_RACY_NS: Final = 2_000_000_000
"""FAT has times of two seconds, the coarsest in use."""

_KEPT: Final = 50_000
"""Rows, about 10 MB; the oldest go first."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS digests (
  device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (device, inode)
)"""


class DigestCache:
    """Digests by version of a file, in one SQLite file below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "digests.sqlite"

    def known(self, versions: Iterable[FileVersion]) -> dict[FileVersion, Digest]:
        """Return the digests of those versions that were hashed before."""
        try:
            with self._database() as database:
                return {version: digest for version in versions if (digest := _row(database, version)) is not None}
        except (sqlite3.Error, OSError, OverflowError):
            return {}

    def remember(self, digests: dict[FileVersion, Digest]) -> None:
        """Keep what was computed, but for files that were written just now."""
        rows = [
            (v.device, v.inode, v.size, v.mtime_ns, v.ctime_ns, str(digest))
            for v, digest in digests.items()
            if not is_racy(v)
        ]
        if not rows:
            return
        try:
            with self._database() as database:
                database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", rows)
                database.execute(
                    "DELETE FROM digests WHERE rowid <= (SELECT max(rowid) FROM digests) - ?",
                    (_KEPT,),
                )
        except (sqlite3.Error, OSError, OverflowError):
            return

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=5.0)
        try:
            with database:
                database.execute(_SCHEMA)
                yield database
        finally:
            database.close()


def is_racy(version: FileVersion) -> bool:
    """Whether the file was written so lately that its times may not tell the next write."""
    return time.time_ns() - max(version.mtime_ns, version.ctime_ns) < _RACY_NS


def _row(database: sqlite3.Connection, version: FileVersion) -> Digest | None:
    row = database.execute(
        "SELECT digest FROM digests WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?",
        (version.device, version.inode, version.size, version.mtime_ns, version.ctime_ns),
    ).fetchone()
    if row is None:
        return None
    try:
        return Digest(row[0])
    except InvalidRequest:
        return None
