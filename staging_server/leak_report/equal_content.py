"""How many bytes would not be there if each content was kept once, as a server that stages by digest keeps it.

Files with a size of their own are not read; of the others SHA-256 decides.
What is remembered is bounded.  Beyond the bound a new size or content counts as one of its own, so that the result is
too small rather than too large, and says so.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from staging_server.leak_report.stores import Problems, StoredFile, UploadFolder, UploadStore

_REMEMBERED: Final = 100_000
"""Sizes, and contents; about 20 MB when both are full."""


@dataclass(slots=True)
class Sizes:
    """The sizes that files have, and those that more than one has.  Empty files are equal and cost nothing."""

    most: int = _REMEMBERED
    whole: bool = True
    _once: set[int] = field(default_factory=set)
    _again: set[int] = field(default_factory=set)

    def note(self, size: int) -> None:
        """Count a file."""
        if size == 0 or size in self._again:
            return
        if size in self._once:
            self._once.discard(size)
            self._again.add(size)
        elif len(self._once) + len(self._again) < self.most:
            self._once.add(size)
        else:
            self.whole = False

    def __contains__(self, size: int) -> bool:
        """Return whether several files have this size."""
        return size in self._again

    def __len__(self) -> int:
        """Return how many such sizes there are."""
        return len(self._again)


@dataclass(slots=True)
class EqualContent:
    """Files whose content was there before."""

    sizes: Sizes
    whole: bool = True
    files: int = 0
    size: int = 0
    read: int = 0
    _contents: set[bytes] = field(default_factory=set)

    def note(self, digest: bytes, *, size: int) -> None:
        """Count a file that was read."""
        self.read += size
        if digest in self._contents:
            self.files += 1
            self.size += size
        elif len(self._contents) < self.sizes.most:
            self._contents.add(digest)
        else:
            self.whole = False


def compare(
    store: UploadStore,
    folders: Iterable[UploadFolder],
    *,
    sizes: Sizes,
    problems: Problems,
    was_read: Callable[[int], None],
) -> EqualContent:
    """Read the files in `folders` that may be equal; `was_read` is told bytes as it goes on."""
    found = EqualContent(sizes, whole=sizes.whole)
    for folder in folders if sizes else ():
        # What cannot be listed was told when the folders were summed up.
        for file in store.files(folder, Problems()):
            if file.size in sizes:
                _compare(store, folder, file, found=found, problems=problems)
                was_read(file.size)
    return found


def _compare(
    store: UploadStore, folder: UploadFolder, file: StoredFile, *, found: EqualContent, problems: Problems
) -> None:
    digest = store.sha256(folder, file, problems)
    if digest is not None:
        found.note(digest, size=file.size)
