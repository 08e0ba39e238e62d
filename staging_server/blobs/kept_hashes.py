"""The hashes of uploads between two appends, so that a file need not be read back.

They are worth nothing after a restart, and losing one costs reading its file once: so they are few and in memory.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

_MOST: Final = 1024
"""Hashes of uploads kept; each is less than a KiB, and more uploads than these seldom stand half done."""


@dataclass(frozen=True, slots=True)
class KeptHash:
    """`hash` of the first `hashed` bytes of the file `inode`."""

    inode: int
    hashed: int
    hash: Any


class KeptHashes:
    """By name; the one that was kept longest goes first.  Safe to use from several threads."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._kept: OrderedDict[str, KeptHash] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str, *, inode: int, hashed: int, state: Any) -> None:
        """Keep the hash of a file, instead of what was kept of it."""
        with self._lock:
            self._kept[name] = KeptHash(inode, hashed, state)
            self._kept.move_to_end(name)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def take(self, name: str, *, inode: int) -> KeptHash | None:
        """Return what was kept of a file, once; None when it is another file by now."""
        with self._lock:
            kept = self._kept.pop(name, None)
        return kept if kept is not None and kept.inode == inode else None

    def forget(self, name: str) -> None:
        """Drop what was kept."""
        with self._lock:
            self._kept.pop(name, None)
