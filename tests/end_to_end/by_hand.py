"""A process that resolves with a journal, as `spark-staging resolve` does, in small parts: made to be killed.

python -m tests.end_to_end.by_hand <url> <namespace> <bundle> <file with the token> <folder>
"""

import sys
from functools import partial
from pathlib import Path

import msgspec

from resolver.resolve import resolve
from resolver.sources.choose import Sources
from resolver.sources.staged import StagedSource
from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.tokens import BundleId, Token
from tests.end_to_end.faulted import SMALL_PARTS
from tests.resolver.outside import outside


def main() -> None:
    """Resolve; an error ends the process with its exit code as a traceback would."""
    url, namespace, name, token_file, into = sys.argv[1:]
    http, bundle = HttpClient(), BundleId(name)
    client = StagingClient(url=url, token=Token.parse(Path(token_file).read_text()), http=http)
    resolve(
        client.manifest(namespace, bundle),
        folder_of=lambda kind: Path(into) / kind,
        sources=Sources(
            outside(http),
            staged=partial(StagedSource, client, namespace=namespace, bundle=bundle),
        ),
        settings=msgspec.structs.replace(SMALL_PARTS, journal=True, durable=True),
    )


if __name__ == "__main__":
    main()
