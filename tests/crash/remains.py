"""The data folder and the database of a server, looked at from outside: what must fit together after every sweep."""

import os
import sqlite3
import time
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

from staging_protocol.digests import Digest

_DAY: Final = 86_400
_DATABASE: Final = "metadata.sqlite3"
_TOP: Final = {
    *("lost+found", "sha256", "uploads"),
    *(_DATABASE, f"{_DATABASE}-shm", f"{_DATABASE}-wal", f"{_DATABASE}.reserve"),
}

_COUNTS: Final = """
SELECT t.namespace, t.bundles, t.bundle_size, t.blobs, t.blob_size, t.reserved,
  (SELECT count(*) FROM bundles b WHERE b.tenant_id = t.id),
  (SELECT coalesce(sum(b.size), 0) FROM bundles b WHERE b.tenant_id = t.id),
  (SELECT count(*) FROM tenant_blobs o WHERE o.tenant_id = t.id),
  (SELECT coalesce(sum(x.size), 0) FROM tenant_blobs o JOIN blobs x ON x.digest = o.digest WHERE o.tenant_id = t.id),
  (SELECT coalesce(sum(w.size), 0) FROM (
     SELECT DISTINCT f.bundle, f.digest, f.size FROM bundle_files f JOIN bundles b ON b.number = f.bundle
     WHERE b.tenant_id = t.id AND b.state = 'open'
       AND f.digest NOT IN (SELECT o.digest FROM tenant_blobs o WHERE o.tenant_id = t.id)) w)
FROM tenants t
"""

_MUST_BE_EMPTY: Final = {
    "bundles whose number of files is another one": """
        SELECT b.id FROM bundles b WHERE b.files != (SELECT count(*) FROM bundle_files f WHERE f.bundle = b.number)""",
    "sealed bundles without all of their blobs": """
        SELECT b.id, f.name FROM bundles b JOIN bundle_files f ON f.bundle = b.number
        LEFT JOIN tenant_blobs o ON o.tenant_id = b.tenant_id AND o.digest = f.digest
        LEFT JOIN blobs x ON x.digest = f.digest
        WHERE b.state = 'sealed' AND (o.digest IS NULL OR x.state != 'stored' OR x.size != f.size)""",
    "sealed bundles that reserve something": "SELECT id FROM bundles WHERE state = 'sealed' AND reserved != 0",
    "claims of tenants on blobs that are not stored": """
        SELECT o.digest FROM tenant_blobs o JOIN blobs x ON x.digest = o.digest WHERE x.state != 'stored'""",
    "keys of creates that made nothing": """
        SELECT k.bundle_id FROM idempotency_keys k WHERE k.bundle_id NOT IN (SELECT id FROM bundles)
        AND k.bundle_id NOT IN (SELECT id FROM tombstones)""",
    "bundles that are alive and ended at once": "SELECT b.id FROM bundles b JOIN tombstones t ON t.id = b.id",
    "wanted blobs that no bundle names": """
        SELECT digest FROM blobs WHERE state = 'wanted' AND digest NOT IN (SELECT digest FROM bundle_files)""",
}

_DELETING: Final = "SELECT digest FROM blobs WHERE state = 'deleting'"
_SWEPT_WITHIN: Final = 15.0
_BLOBS: Final = "SELECT digest, size, key, state FROM blobs WHERE state IN ('stored', 'deleting') ORDER BY digest"


Rows = list[tuple[Any, ...]]


class Database(Protocol):
    """The database of a server, past the server."""

    def rows(self, query: str) -> Rows:
        """Return what a query gives."""
        ...

    def change(self, statement: str) -> None:
        """Do a change; the server must be down."""
        ...


class SqliteFile:
    """A database of SQLite."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, query: str) -> Rows:
        """See `Database.rows`."""
        with closing(sqlite3.connect(self._path, timeout=30)) as database:
            return database.execute(query).fetchall()

    def change(self, statement: str) -> None:
        """See `Database.change`."""
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            database.execute(statement)


class Remains:
    """The folder `data` of a server, and its database (by default the SQLite file in the folder)."""

    def __init__(self, data: Path, *, database: Database | None = None) -> None:
        self._data = data
        self._database = database or SqliteFile(data / "metadata.sqlite3")

    def age(self, *, but: Collection[str] = ()) -> None:
        """Let two days pass for whatever a dead server left, `but` not for these uploads; the server must be down."""
        kept = ", ".join(repr(upload) for upload in ("none", *but))
        past = 2 * _DAY * 1_000_000
        self._database.change("UPDATE leases SET until = 0")
        self._database.change(
            f"UPDATE uploads SET started_at = started_at - {past}, last_activity_at = last_activity_at - {past} "  # noqa: S608 - our own ids
            f"WHERE id NOT IN ({kept})"
        )
        then = time.time() - 2 * _DAY
        for path in (self._data / "uploads").iterdir():
            if path.name not in but:
                os.utime(path, (then, then))

    def check(self, *, resuming: Collection[str] = ()) -> None:
        """Assert that everything fits together after a sweep; `resuming` are the uploads that may still be there."""
        rows = self._database.rows
        if isinstance(self._database, SqliteFile):
            assert rows("PRAGMA integrity_check") == [("ok",)]
            assert rows("PRAGMA foreign_key_check") == []
        deadline = time.monotonic() + _SWEPT_WITHIN
        while rows(_DELETING):  # the loop of a server that runs may be sweeping
            assert time.monotonic() < deadline, f"blobs on their way out: {rows(_DELETING)}"
            time.sleep(0.05)
        for what, query in _MUST_BE_EMPTY.items():
            assert not rows(query), f"{what}: {rows(query)}"
        for namespace, *counts in rows(_COUNTS):
            assert counts[:5] == counts[5:], f"counts of {namespace}: {counts[:5]} kept, {counts[5:]} there"
        self._check_blobs()
        uploads = {str(upload): state for upload, state in rows("SELECT id, state FROM uploads")}
        assert set(uploads) <= set(resuming), "rows of uploads that nobody goes on with"
        self._check_folder({upload for upload, state in uploads.items() if state == "open"})

    def _check_blobs(self) -> None:
        stored, there = self._rows_and_files()
        named = {key for _, _, key in stored}
        assert named <= there, f"rows whose file is missing: {named - there}"
        assert there <= named, f"files that no row names: {there - named}"
        for digest, size, key in stored:
            content = (self._data / key).read_bytes()
            assert (len(content), Digest.of(content)) == (size, digest), f"{key} has other bytes"

    def _rows_and_files(self) -> tuple[Rows, set[str]]:
        """Return the blobs and the files of one moment: the loop of a server that runs may be sweeping."""
        before = None
        while (rows := self._database.rows(_BLOBS)) != before:
            before = rows
            there = {path.relative_to(self._data).as_posix() for path in (self._data / "sha256").rglob("*/*")}
        return [(digest, size, key) for digest, size, key, state in rows if state == "stored"], there

    def _check_folder(self, going_on: set[str]) -> None:
        assert {path.name for path in self._data.iterdir()} <= _TOP
        on_their_way = {path.name for path in (self._data / "uploads").iterdir()}
        assert on_their_way <= going_on, "files of uploads that nobody goes on with"
