"""Where rows and bytes lie, and how carefully they are put there."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from staging_server.settings.group import KIB, MIB, Bytes, Count, Group, Seconds


class StorageSettings(Group):
    """Where rows and bytes lie."""

    folder: Path = Path("spark-staging-data")
    """Folder for the bytes of blobs and, by default, the database.  It must exist on a disk of this machine that
    survives restarts; `serve` makes it when its parent exists."""

    database_url: SecretStr | None = None
    """URL of the database, `sqlite:////folder/metadata.sqlite3` or `postgresql://user:password@host/name`; default: the
    SQLite file `metadata.sqlite3` in `folder`.  SQLite serves one process; for several use PostgreSQL."""

    synchronous: Literal["full", "normal"] = "full"
    """What SQLite waits for at a commit.  `full`: an answered request survives a power cut.  `normal`: the last
    seconds may be lost then, while a crash of the process alone still loses nothing."""

    busy_timeout: Seconds = 10.0
    """Seconds that SQLite waits for another process (a command run beside the server) before the request fails."""

    readers: Count = 4
    """Database connections for reading; more let more reads wait for the disk at once."""

    write_buffer: Annotated[int, Field(ge=4 * KIB)] = MIB
    """Bytes of an upload that are hashed and written at once; each upload holds at most about three times that in
    memory."""

    io_threads: Count = 8
    """Threads that hash, write and read files; about two for each core, more for slow disks."""

    flush_every: Bytes = 64 * MIB
    """Bytes of an upload after which the kernel is asked to write them to the disk while more arrive, so that the
    final fsync is short.  0 leaves all to the end."""
