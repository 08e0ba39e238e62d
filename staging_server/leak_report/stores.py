"""What the report needs of a store that `spark.kubernetes.file.upload.path` leads to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

_TOLD: Final = 100
"""Problems that are told one by one; a folder without rights may have a million."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFolder:
    """A `spark-upload-<uuid>` folder.

    Attributes:
        path: below the store's root, with `/`.
        modified: seconds since 1970.
    """

    path: str
    modified: float

    @property
    def name(self) -> str:
        """Return what jobs call it by."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file in such a folder; `name` is its path there, `modified` in seconds since 1970."""

    name: str
    size: int
    modified: float


@dataclass(slots=True)
class Problems:
    """What could not be read."""

    count: int = 0
    first: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason."""

    def add(self, path: str, reason: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.first) < _TOLD:
            self.first.append((path, reason))


class UploadStore(Protocol):
    """A store to list, for one thread.

    It opens nothing for writing.  What it cannot read it adds to the problems that it is given, and goes on; what
    vanishes while it looks is no problem.  It keeps no list: iterators go on as they are read, and can be asked for
    again.
    """

    @property
    def deletes(self) -> str:
        """Return the command that deletes the folders whose addresses, ended by NUL, come on its standard input."""
        ...

    def shown(self, path: str) -> str:
        """Return the address of a folder or file below the root, as the operating system takes it."""
        ...

    def folders(self, problems: Problems) -> Iterator[UploadFolder]:
        """Yield each upload folder at any depth."""
        ...

    def files(self, folder: UploadFolder, problems: Problems) -> Iterator[StoredFile]:
        """Yield each file in it at any depth."""
        ...

    def sha256(self, folder: UploadFolder, file: StoredFile, problems: Problems) -> bytes | None:
        """Return the digest of a file's content, or None when it cannot be read."""
        ...
