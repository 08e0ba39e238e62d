r"""What a killed run had of a file in parts, so that the next one goes on instead of beginning anew.

A journal lies beside the hidden file: a line that says of what it is, then one for each part that is on the disk, with
its start and stop.

    {"uri": "<sha256 of the URI>", "version": "\"abc\"", "size": 1073741824, "part_size": 8388608, "digest": null}
    8388608 16777216
    0 8388608

It is used only where a strong version, or the manifest's digest, proves that the parts still belong together; anything
else about it that is not as expected makes it worthless, and the file begins anew.  Pods have no use for it: an init
container that failed is never run again.
"""

import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from resolver.plan import Download
from resolver.sources.base import Version
from staging_io.files import UnfinishedFile, hidden, regular_size, remove_tree, translated
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, SourceChanged
from staging_protocol.wire import decode, encode


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """Of what the parts are.  The URI may hold a secret, so its hash stands for it."""

    uri: str
    digest: Digest | None
    version: str | None
    size: int | None
    part_size: int


class Journal:
    """The journal of one file; with `enabled=False` it remembers nothing."""

    def __init__(self, download: Download, *, enabled: bool) -> None:
        self._download = download
        self._enabled = enabled
        self._active = False
        self._lock = threading.Lock()
        self._header: _Header | None = None
        self._done: dict[int, int] = {}
        if enabled:
            self._path = hidden(download.path, "journal")
            self._header, self._done = _load(self._path, download)

    @property
    def has_parts(self) -> bool:
        """Whether there is something to go on with."""
        return bool(self._done)

    @property
    def size(self) -> int | None:
        """Size of the file that an earlier run began; None when there is nothing to go on with."""
        return self._header.size if self._header is not None and self._done else None

    @property
    def parts(self) -> Mapping[int, int]:
        """Where the parts begin that are on the disk, and where they end."""
        return self._done

    def begin(self, *, version: Version | None, size: int | None, part_size: int) -> None:
        """Begin to remember, now that the source has said what the file is.

        Raises:
            SourceChanged: it is not the file that the parts on the disk are of.
        """
        if not self._enabled:
            return
        strong = version.text if version is not None and version.strong else None
        header = _Header(
            uri=_hash_of_uri(self._download), digest=self._download.digest,
            version=strong, size=size, part_size=part_size,
        )  # fmt: skip
        if self._header is not None and self._header != header:
            self.forget()
            msg = f"{self._download.uri} changed since it was downloaded in part"
            raise SourceChanged(msg)
        self._active = size is not None and (strong is not None or self._download.digest is not None)
        if self._active and self._header is None:
            self._append(encode(header).decode(), create=True)

    def done(self, start: int, stop: int, *, file: UnfinishedFile) -> None:
        """Remember a part that was written, once it is on the disk."""
        if self._active:
            file.sync()
            self._append(f"{start} {stop}")

    def forget(self) -> None:
        """Remove the journal."""
        self._header, self._done, self._active = None, {}, False
        if self._enabled:
            remove_tree(self._path)

    def _append(self, line: str, *, create: bool = False) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if create else 0)
        with self._lock, translated(self._path):
            fd = os.open(self._path, flags, 0o600)
            try:
                os.write(fd, f"{line}\n".encode())
            finally:
                os.close(fd)


def _hash_of_uri(download: Download) -> str:
    return hashlib.sha256(download.uri.without_fragment.encode()).hexdigest()


def _load(path: Path, download: Download) -> tuple[_Header | None, dict[int, int]]:
    """Return what the journal at `path` says, if it is about this download and the bytes are still there."""
    try:
        first, *rest = path.read_text().split("\n")[:-1]
        header = decode(first, into=_Header)
        done = dict(_part(line) for line in rest)
    except (OSError, ValueError, InvalidRequest):
        return None, {}
    is_ours = header.uri == _hash_of_uri(download) and header.digest == download.digest
    if any(not 0 <= start < stop <= (header.size or 0) for start, stop in done.items()):
        return None, {}
    if not is_ours or regular_size(hidden(download.path, "part")) != header.size:
        return None, {}
    return header, done


def _part(line: str) -> tuple[int, int]:
    start, stop = line.split()
    return int(start), int(stop)
