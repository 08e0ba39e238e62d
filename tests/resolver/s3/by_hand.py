"""A process that resolves from S3 with a journal, as `spark-staging resolve` does, in small parts: made to be killed.

python -m tests.resolver.s3.by_hand <URL of the service> <folder with s3/id and s3/secret> <folder to fill> <URI>…
"""

import sys
from pathlib import Path

import msgspec

from resolver.resolve import resolve
from resolver.sources.choose import Sources
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from tests.end_to_end.faulted import SMALL_PARTS
from tests.resolver.s3.served import KEY_FILES, reached, way_out


def entry(uri: str) -> ManifestEntry:
    """Return an entry without size or digest: everything that is known comes from S3."""
    return ManifestEntry(uri=uri, kind=Kind.JAR, target=FileName(uri.rpartition("/")[2]))


def main() -> None:
    """Resolve; an error ends the process as a traceback does."""
    url, secrets, into, *uris = sys.argv[1:]
    with way_out(reached(url, key=KEY_FILES), secrets=Path(secrets)) as outside:
        resolve(
            Manifest(entries=tuple(map(entry, uris))),
            folder_of=lambda _: Path(into),
            sources=Sources(outside),
            settings=msgspec.structs.replace(SMALL_PARTS, journal=True, durable=True),
        )


if __name__ == "__main__":
    main()
