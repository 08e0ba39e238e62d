"""The hidden files and folders of one run.

Beginning, committing and ending happen under one lock.  So when a run is ended from outside, nothing that a thread does
a moment later becomes visible, and nothing hidden is left behind.
"""

import threading
from pathlib import Path

from staging_io.files import (
    FOLDER_MODE,
    UnfinishedFile,
    flush_folder,
    hidden,
    remove_tree,
    translated,
)
from staging_protocol.errors import Terminated


class Workspace:
    """What this run has begun and not finished."""

    def __init__(self, *, durable: bool, keep_unfinished: bool = False) -> None:
        """`keep_unfinished` leaves unfinished files for a later run to go on with."""
        self._durable = durable
        self._keep = keep_unfinished
        self._lock = threading.Lock()
        self._ended = False
        self._files: set[UnfinishedFile] = set()
        self._trees: set[Path] = set()

    def begin_file(self, final: str | Path, *, keep: bool = False) -> UnfinishedFile:
        """Open the hidden file of `final`."""
        file = UnfinishedFile(final, keep=keep)  # not under the lock: a busy disk lets an open wait
        with self._lock:
            if not self._ended:
                self._files.add(file)
                return file
        file.discard()
        msg = "the run was ended"
        raise Terminated(msg)

    def commit_file(self, file: UnfinishedFile) -> None:
        """Make a verified file visible."""
        if self._durable:
            file.sync()
        with self._lock:
            self._check()
            file.commit()
            self._files.discard(file)

    def discard_file(self, file: UnfinishedFile) -> None:
        """Forget a file."""
        with self._lock:
            self._files.discard(file)
            file.discard()

    def begin_tree(self, final: Path) -> Path:
        """Make the empty hidden folder of `final`."""
        tree = hidden(final, "tree")
        with self._lock, translated(final):
            self._check()
            remove_tree(tree)
            tree.mkdir()
            tree.chmod(FOLDER_MODE)
            self._trees.add(tree)
        return tree

    def commit_tree(self, tree: Path, final: Path) -> None:
        """Make a whole folder visible; one that was there before goes away first, because folders cannot be swapped."""
        old = hidden(final, "old")
        with self._lock, translated(final):
            self._check()
            remove_tree(old)
            if final.exists() or final.is_symlink():
                final.rename(old)
            tree.rename(final)
            self._trees.discard(tree)
        remove_tree(old)

    def discard_tree(self, tree: Path) -> None:
        """Remove a folder that is not finished."""
        remove_tree(tree)
        with self._lock:
            self._trees.discard(tree)

    def end(self) -> None:
        """Let nothing more appear, and remove what is not finished."""
        with self._lock:
            self._ended = True
            for file in self._files:
                if not self._keep:
                    file.discard()
            for tree in self._trees:
                remove_tree(tree)

    def flush(self, folders: set[str]) -> None:
        """Make the names in `folders` durable, where that is wanted."""
        if self._durable:
            for folder in folders:
                flush_folder(Path(folder))

    def _check(self) -> None:
        if self._ended:
            msg = "the run was ended"
            raise Terminated(msg)
