"""The manifest: the list of dependencies of a job, with their targets and digests.

The server keeps it with the bundle and serves it; the resolver turns it into files.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.wire import encode

MANIFEST_VERSION: Final = 1


class Kind(StrEnum):
    """What a dependency is to Spark; only archives are ever unpacked."""

    JAR = "jar"
    FILE = "file"
    PYFILE = "pyfile"
    ARCHIVE = "archive"


class ManifestEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One dependency.

    `target` is the name of the file (of the folder, for an archive) in the pod, in the folder of its kind.
    `size` is in bytes. Both `digest` and `size` are of the file as it is stored, before any unpacking.
    """

    uri: str
    kind: Kind
    target: FileName
    digest: Digest | None = None
    size: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All dependencies of one job, staged and remote, in the order in which Spark shall see them."""

    entries: tuple[ManifestEntry, ...]
    version: int = MANIFEST_VERSION

    def digest(self) -> Digest:
        """Return the digest of the manifest's JSON, which pods carry as an annotation."""
        return Digest.of(encode(self))
