r"""What a killed run had of a file in parts, so that the next one goes on instead of beginning anew.

A journal lies beside the hidden file: a line that says of what it is, then a line for each part that is on the disk.

    {"uri": "<sha256 of the URI>", "version": "\"abc\"", "size": 1073741824, "part_size": 8388608, "digest": null}
    8388608
    0

It is used only where a strong version, or the manifest's digest, proves that the parts still belong together; anything
else about it that is not as expected makes it worthless, and the file begins anew.  Pods have no use for it: an init
container that failed is never run again.
"""

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from resolver.plan import Download
from resolver.sources.base import Version
from staging_io.files import UnfinishedFile, hidden, regular_size, remove_tree, translated
from staging_protocol.errors import SourceChanged


class Journal:
    """The journal of one file; with `enabled=False` it remembers nothing."""

    def __init__(self, download: Download, *, enabled: bool) -> None:
        self._download = download
        self._enabled = enabled
        self._active = False
        self._lock = threading.Lock()
        self._header: dict[str, Any] | None = None
        self._starts: frozenset[int] = frozenset()
        if enabled:
            self._path = hidden(Path(download.path), "journal")
            self._header, self._starts = _load(self._path, self._what())
        if self._header is not None and regular_size(hidden(Path(download.path), "part")) != self._header["size"]:
            self._header, self._starts = None, frozenset()

    @property
    def has_parts(self) -> bool:
        """Whether there is something to go on with."""
        return bool(self._starts)

    def has(self, at: int) -> bool:
        """Whether the part that begins at `at` is on the disk."""
        return at in self._starts

    def begin(self, *, version: Version | None, size: int | None, part_size: int) -> None:
        """Begin to remember, now that the source has said what the file is.

        Raises:
            SourceChanged: it is not the file that the parts on the disk are of.
        """
        if not self._enabled:
            return
        strong = version.text if version is not None and version.strong else None
        header = self._what() | {"version": strong, "size": size, "part_size": part_size}
        if self._header is not None and self._header != header:
            self.forget()
            msg = f"{self._download.uri} changed since it was downloaded in part"
            raise SourceChanged(msg)
        self._active = size is not None and (strong is not None or self._download.digest is not None)
        if self._active and self._header is None:
            self._append(json.dumps(header), create=True)

    def done(self, start: int, *, file: UnfinishedFile) -> None:
        """Remember a part that was written, once it is on the disk."""
        if self._active:
            file.sync()
            self._append(str(start))

    def forget(self) -> None:
        """Remove the journal."""
        self._header, self._starts, self._active = None, frozenset(), False
        if self._enabled:
            remove_tree(self._path)

    def _what(self) -> dict[str, Any]:
        # The URI may hold a secret, so its hash stands for it.
        uri = hashlib.sha256(self._download.uri.without_fragment.encode()).hexdigest()
        return {"uri": uri, "digest": self._download.digest}

    def _append(self, line: str, *, create: bool = False) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if create else 0)
        with self._lock, translated(self._path):
            fd = os.open(self._path, flags, 0o600)
            try:
                os.write(fd, f"{line}\n".encode())
            finally:
                os.close(fd)


def _load(path: Path, what: dict[str, Any]) -> tuple[dict[str, Any] | None, frozenset[int]]:
    try:
        first, *rest = path.read_text().split("\n")[:-1]
        header = json.loads(first)
        if not isinstance(header, dict) or {key: header.get(key) for key in what} != what:
            return None, frozenset()
        return header, frozenset(int(line) for line in rest)
    except (OSError, ValueError):
        return None, frozenset()
