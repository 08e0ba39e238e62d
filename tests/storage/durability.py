"""What a power cut would leave, computed from a recording: a model of a disk that keeps what was flushed, and no more.

    write F            new bytes of F are in danger until an fsync of F that begins later has ended
    make, rename, …    the name is in danger in its folder until an fsync of that folder that begins later has ended

An answer of the server is a promise; at that moment nothing that it rests on may be in danger.  SQLite's main file may
be: what is in its write-ahead log is replayed from there.  A name that was removed, or left by a rename, may be, too:
if it comes back, no row names it, and it is swept.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from tests.storage.trace import Call

_WRITES: Final = frozenset({"write", "writev", "pwrite64", "pwritev", "ftruncate", "copy_file_range"})
_FLUSHES: Final = frozenset({"fsync", "fdatasync"})
_REMOVES: Final = frozenset({"unlink", "unlinkat", "rmdir"})
_MAKES: Final = frozenset({"mkdir", "mkdirat", "symlink", "symlinkat"})
_ANSWERS: Final = frozenset({"sendto", "sendmsg", "write", "writev"})

IGNORED: Final = ("metadata.sqlite3", "metadata.sqlite3-shm", "metadata.sqlite3.reserve", "server.log", "trace")
"""Written from the write-ahead log again, or made anew, after a crash; and what the tests write themselves."""


@dataclass(slots=True)
class Disk:
    """What is in danger below `root`: bytes of files, and names in folders, each since a place in the recording."""

    root: str
    ignored: Sequence[str] = IGNORED
    bytes_of: dict[str, int] = field(default_factory=dict)
    names_in: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def take(self, call: Call) -> None:
        """Let a call that has ended take effect."""
        if call.name in _FLUSHES:
            self._flush(call)
        elif call.name in _WRITES and self._counts(call.path):
            self.bytes_of[call.path] = call.ended
        elif call.name.startswith("rename") and self._counts(call.target):
            self._rename(call)
        elif call.name in _REMOVES and self._counts(call.path):
            self.bytes_of.pop(call.path, None)
            self._forget(call.path)
        elif (call.name in _MAKES or (call.creates and call.path not in self.seen)) and self._counts(call.path):
            self._name(call.path, at=call.ended)

    def in_danger(self) -> list[str]:
        """Return what a power cut would take away now."""
        return [
            *(f"bytes of {path}" for path in self.bytes_of),
            *(f"name {name} in {folder}" for folder, names in self.names_in.items() for name in names),
        ]

    def _flush(self, call: Call) -> None:
        if self.bytes_of.get(call.path, call.begun) < call.begun:
            del self.bytes_of[call.path]
        names = self.names_in.get(call.path, {})
        self.names_in[call.path] = {name: at for name, at in names.items() if at > call.begun}

    def _rename(self, call: Call) -> None:
        if call.path in self.bytes_of:
            self.bytes_of[call.target] = self.bytes_of.pop(call.path)
        self._forget(call.path)
        self._name(call.target, at=call.ended)

    def _name(self, path: str, *, at: int) -> None:
        self.seen.add(path)
        pure = PurePath(path)
        self.names_in.setdefault(str(pure.parent), {})[pure.name] = at

    def _forget(self, path: str) -> None:
        pure = PurePath(path)
        self.names_in.get(str(pure.parent), {}).pop(pure.name, None)

    def _counts(self, path: str) -> bool:
        return path.startswith(self.root) and PurePath(path).name not in self.ignored


def is_answer(call: Call) -> bool:
    """Whether a call gives a peer the head of a good answer."""
    return call.name in _ANSWERS and "socket:" in call.path and call.text.startswith("HTTP/1.1 2")


def broken_promises(calls: Iterable[Call], *, disk: Disk) -> Iterator[str]:
    """Yield what was in danger when an answer was given, or when the program ended.

    Up to the first 201 there are only probes, which promise nothing, while the server starts and writes by itself.
    """
    ending: list[Call] = []
    promising = False
    for call in calls:
        # What has ended before this one begins has taken effect.
        for earlier in [earlier for earlier in ending if earlier.ended < call.begun]:
            disk.take(earlier)
            ending.remove(earlier)
        promising |= call.text.startswith("HTTP/1.1 201")
        if (promising and is_answer(call)) or call.name == "exit_group":
            what = call.text[:24] or "the end"
            yield from (f"at {what!r}: {danger}" for danger in disk.in_danger())
        ending.append(call)
        ending.sort(key=lambda one: one.ended)


def commits_too_early(calls: Sequence[Call], *, log: str) -> Iterator[str]:
    """Yield renames of blobs after which the database wrote before the folder that they came into was flushed."""
    for rename in calls:
        if not rename.name.startswith("rename") or "/sha256/" not in rename.target:
            continue
        committed = next((call for call in calls if call.path == log and call.begun > rename.ended), None)
        folder = str(PurePath(rename.target).parent)
        flushed = _flushed(calls, folder, after=rename)
        if committed is None or flushed is None or flushed.ended > committed.begun:
            yield f"the database named {rename.target} before {folder} was flushed"


def renames_too_early(calls: Sequence[Call], *, root: str) -> Iterator[str]:
    """Yield renames of files below `root` whose bytes were not flushed."""
    for rename in calls:
        if not rename.name.startswith("rename") or not rename.path.startswith(root):
            continue
        written = [call.ended for call in calls if call.name in _WRITES and call.path == rename.path
                   and call.begun < rename.begun]  # fmt: skip
        flushes = [call for call in calls if call.name in _FLUSHES and call.path == rename.path
                   and call.ended < rename.begun]  # fmt: skip
        if written and not any(call.begun > max(written) for call in flushes):
            yield f"{rename.path} got its name before its bytes were flushed"


def removals_too_early(calls: Sequence[Call], *, log: str) -> Iterator[str]:
    """Yield blobs that were removed while what the database said of them was not on the disk.

    Between two removals of one sweep the database need not write; but before the first one it must have, and nothing
    that it wrote may be in danger.
    """
    for removal in calls:
        if removal.name not in _REMOVES or "/sha256/" not in removal.path:
            continue
        written = [call for call in calls if call.path == log and call.name in _WRITES and call.begun < removal.begun]
        flushed = [call for call in calls if call.path == log and call.name in _FLUSHES and call.ended < removal.begun]
        asked = max((call.begun for call in calls if _is_request(call) and call.begun < removal.begun), default=0)
        marked = [call for call in written if call.begun > asked]
        if not marked:
            yield f"{removal.path} was removed without a word to the database"
        elif not any(call.begun > marked[-1].ended for call in flushed):
            yield f"{removal.path} was removed before the database's word was flushed"


def _is_request(call: Call) -> bool:
    return call.name == "recvfrom" and call.text.startswith("POST /v1/sweeps")


def _flushed(calls: Sequence[Call], path: str, *, after: Call) -> Call | None:
    return next(
        (call for call in calls if call.name in _FLUSHES and call.path == path and call.begun > after.ended), None
    )
