"""What HDFS says about a file, a folder or a list of them, as WebHDFS writes it in JSON.

A version is the file's id, its time of change in milliseconds, and its size.  Ids are never used again; a file's bytes
change only by appending, which changes its size, and by cutting, which sets its time.  So it is strong, but where a
server names no id (HttpFS before Hadoop 3, and other file systems behind it).
"""

import re
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta

from resolver.sources.base import Stat, Version

FILE: Final = "FILE"
FOLDER: Final = "DIRECTORY"
_VERSION: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})-([0-9]{1,18})")


class FileStatus(msgspec.Struct, frozen=True, rename="camel"):
    """One file, folder or link.  `path_suffix` is its name in a listing, and empty for what was asked about itself."""

    type: str
    length: Annotated[int, Meta(ge=0)]
    modification_time: Annotated[int, Meta(ge=0)]
    path_suffix: str = ""
    file_id: Annotated[int, Meta(ge=0)] = 0

    @classmethod
    def of_version(cls, version: Version) -> Self | None:
        """Return the status of a file that `version` was made of; None when it was not made here."""
        match = _VERSION.fullmatch(version.text)
        if match is None:
            return None
        return cls(type=FILE, file_id=int(match[1]), modification_time=int(match[2]), length=int(match[3]))

    @property
    def version(self) -> Version:
        """Its version."""
        return Version(f"{self.file_id}-{self.modification_time}-{self.length}", strong=self.file_id > 0)

    @property
    def stat(self) -> Stat:
        """What a source says of it; nothing for a link, which may lead anywhere."""
        return Stat(size=self.length, version=self.version) if self.type == FILE else Stat()


class StatusAnswer(msgspec.Struct, frozen=True):
    """The answer to GETFILESTATUS."""

    status: FileStatus = msgspec.field(name="FileStatus")


class FileStatuses(msgspec.Struct, frozen=True):
    """A list of files and folders."""

    statuses: tuple[FileStatus, ...] = msgspec.field(name="FileStatus")


class ListAnswer(msgspec.Struct, frozen=True):
    """The answer to LISTSTATUS: all that is in a folder."""

    listing: FileStatuses = msgspec.field(name="FileStatuses")


class PartialListing(msgspec.Struct, frozen=True, rename="camel"):
    """Some of what is in a folder."""

    partial_listing: ListAnswer
    remaining_entries: int


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answer to LISTSTATUS_BATCH."""

    listing: PartialListing = msgspec.field(name="DirectoryListing")


class FileChecksum(msgspec.Struct, frozen=True):
    """A checksum; `bytes` is hexadecimal, and for COMPOSITE-CRC the CRC of the whole file."""

    algorithm: str
    bytes: str


class ChecksumAnswer(msgspec.Struct, frozen=True):
    """The answer to GETFILECHECKSUM."""

    checksum: FileChecksum = msgspec.field(name="FileChecksum")
