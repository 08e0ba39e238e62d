"""How the resolver works: values set by its callers, none read from the environment here."""

from typing import Final

import msgspec

MIB: Final = 1024 * 1024


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """When something that failed is tried again.

    Attributes:
        attempts: tries in a row that bring no byte, before a source counts as unavailable (exit code 44).
            With the other defaults ten tries span about two minutes: a server that is replaced comes back in that time.
        first_wait: seconds before the second try; each further wait is twice as long.
        longest_wait: seconds that a wait grows to. A server's own Retry-After is always respected.
    """

    attempts: int = 10
    first_wait: float = 0.5
    longest_wait: float = 30.0


class ArchiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive may unpack to; an archive beyond it is refused (exit code 47).

    Attributes:
        entries: files, folders and links. A packed environment with a large framework has about 60,000.
        size: bytes of all files together.
        ratio: unpacked bytes for each packed one, beyond the first 64 MiB. Text reaches 20, deflate at most 1,032.
        depth: folders in folders.
    """

    entries: int = 200_000
    size: int = 64 * 1024 * MIB
    ratio: int = 250
    depth: int = 64


class ResolveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the resolver.

    Attributes:
        deadline: seconds for everything; then the run fails with exit code 45.
        part_size: bytes of the ranges that are fetched in parallel, up to four times as many for large files; what is
            smaller comes in one piece.
        buffer_size: bytes of the one buffer that each thread has; with `connections` it bounds the memory.
        connections: parts in flight at most; how many are used is found out while running.
        durable: flush files and folders to the disk before they count as done (decision 0003).
        journal: keep what a killed run has downloaded, where version or digest prove that it is still right.
        digests: compute SHA-256 of everything, for callers that show or store it; else only where nothing that is
            cheaper proves the bytes.
        progress_interval: seconds between two reports of progress.
    """

    deadline: float = 1800.0
    part_size: int = 8 * MIB
    buffer_size: int = MIB // 4
    connections: int = 16
    durable: bool = False
    journal: bool = False
    digests: bool = False
    progress_interval: float = 0.2
    retry: RetrySettings = RetrySettings()
    archives: ArchiveLimits = ArchiveLimits()
