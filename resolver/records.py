r"""What is remembered of finished dependencies that a manifest alone cannot prove: one hidden file for each folder.

    {"target": "a.jar", "size": 812, "version": {"text": "\"abc\"", "strong": true}, "checksum": {…}}
    {"target": "env"}

A line is added for each one that is finished; the last line about a target counts, and one that has nothing but the
target takes back what was said.  A run that is killed may leave half a line, which is worth nothing.  A line can be
wrong about a file (the run was killed between file and line): it says what the file's bytes have to be, so that is
noticed.  It must not be wrong about an unpacked archive, whose bytes nobody checks: it is taken back before the folder
changes.

Lines of files that are finished at nearly the same time are written together: a kill costs what came in a tenth of a
second, and ten thousand small files are not ten thousand writes.
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from resolver.sources.base import Checksum, Version
from staging_io.files import hidden, translated
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, StagingError
from staging_protocol.wire import decode, encode

_NAME: Final = ".records"
"""No dependency can have it: its hidden name is made of the hash of it."""

_MODE: Final = 0o600
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW

_TOGETHER: Final = 0.1
"""Seconds in which a line waits at most for further ones, as long as such come; the end of the run does not wait."""

_SUPERSEDED: Final = 1000
"""Lines that do not count any more, after which the file is written anew."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line.  `digest` and `checksum` are of the file as it came, one of them at least."""

    target: str
    size: int | None = None
    version: Version | None = None
    digest: Digest | None = None
    checksum: Checksum | None = None


class Records:
    """The records of one folder; `remember` and `forget` may be called by any thread."""

    def __init__(self, folder: str | Path, *, durable: bool) -> None:
        self._path = hidden(Path(folder) / _NAME, "jsonl")
        self._durable = durable
        self._lock = threading.Lock()
        self._fd = -1
        self._ended = False
        self._unwritten: list[bytes] = []
        self._written = 0.0
        self._known = self._load()

    def of(self, target: str) -> Record | None:
        """Return what earlier runs knew of a target."""
        return self._known.get(target)

    def remember(self, record: Record) -> None:
        """Note that a dependency is finished."""
        line = encode(record)
        with self._lock:
            if self._ended:
                return
            self._unwritten.append(line)
            if time.monotonic() - self._written >= _TOGETHER:
                self._write()

    def forget(self, target: str) -> None:
        """Take back what was known of a target, at once: it is going to change."""
        if target not in self._known:
            return
        with self._lock:
            if self._ended:
                return
            self._unwritten.append(encode(Record(target=target)))
            self._write(flush=self._durable)

    def end(self) -> None:
        """Close the file; what is said afterwards is not heard."""
        with self._lock:
            self._ended = True
            with suppress(StagingError):  # a line that is missing costs a download, and what ends the run says more
                self._write()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _write(self, *, flush: bool = False) -> None:
        lines, self._unwritten = self._unwritten, []
        self._written = time.monotonic()
        if not lines:
            return
        with translated(self._path):
            if self._fd < 0:
                self._fd = os.open(self._path, _APPEND, _MODE)
            os.write(self._fd, b"\n".join((*lines, b"")))
            if flush:
                os.fsync(self._fd)

    def _load(self) -> dict[str, Record]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except OSError:
            return {}
        known = {record.target: record for line in lines if (record := _read(line)) is not None}
        known = {target: record for target, record in known.items() if record.size is not None}
        if lines[-1] or len(lines) > len(known) + _SUPERSEDED:
            self._rewrite(known)
        return known

    def _rewrite(self, known: dict[str, Record]) -> None:
        new = self._path.with_suffix(".part")
        with translated(self._path):
            new.write_bytes(b"".join(encode(record) + b"\n" for record in known.values()))
            new.chmod(_MODE)
            new.rename(self._path)


def _read(line: bytes) -> Record | None:
    try:
        return decode(line, into=Record)
    except InvalidRequest:
        return None
