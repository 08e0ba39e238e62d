"""The submitter's and pods' own client speaks to every route of the server."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.api.bundles import Lease, Pin
from staging_protocol.api.creation import FileState, NewBundle, NewFile
from staging_protocol.api.operators import NewSweep
from staging_protocol.api.reports import Outcome, Report
from staging_protocol.digests import Digest
from staging_protocol.errors import BundleExpired, NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId, Token
from tests.staging_server.live import live_server

_CONTENT = b"content" * 1000
_NAME = FileName("ä b%41&.jar")


@contextmanager
def _client(url: str, token: Token | None = None) -> Iterator[StagingClient]:
    http = HttpClient()
    try:
        yield StagingClient(url=url, token=token, http=http)
    finally:
        http.close()


async def test_every_method_of_the_client_finds_its_route(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await asyncio.to_thread(_stage_and_read, live.server.url)


def _stage_and_read(url: str) -> None:
    digest = Digest.of(_CONTENT)
    file = NewFile(kind=Kind.JAR, name=_NAME, size=len(_CONTENT), digest=digest)
    with _client(url) as submitter:
        assert submitter.info().api_versions == ("v1",)
        made = submitter.create("team-a", NewBundle(application="job", files=(file,)), idempotency_key="k")
        assert made.files == (FileState.WANTED,)
        submitter.put_blob("team-a", digest, size=len(_CONTENT), content=iter([_CONTENT]))
        assert submitter.seal("team-a", made.id).manifest_digest == made.manifest_digest
        assert submitter.bundle("team-a", made.id).files == 1
        assert [one.id for one in submitter.bundles("team-a", limit=1).bundles] == [made.id]
        assert [one.id for one in submitter.bundles(None).bundles] == [made.id]
        submitter.bind("team-a", made.id, OwnerReference(api_version="v1", kind="Pod", name="driver"))
        submitter.lease("team-a", made.id, Lease(seconds=60))
        submitter.pin("team-a", made.id, Pin(reason="audit"))
        assert submitter.unpin("team-a", made.id).pin is None
        token = Token.parse(submitter.new_token("team-a", made.id).token)
        with _client(url, token) as pod:
            assert pod.manifest("team-a", made.id).digest() == made.manifest_digest
            pod.report(
                "team-a", made.id, Report(outcome=Outcome.SUCCEEDED, role="driver", pod="p", exit_code=0, seconds=1)
            )
            assert submitter.explain("team-a", made.id).reports[0].report.pod == "p"
            assert submitter.usage().blobs == 1
            assert submitter.sweep(NewSweep(dry_run=True)).freed == 0
            submitter.delete("team-a", made.id)
            with pytest.raises(BundleExpired):
                pod.manifest("team-a", made.id)
        with pytest.raises(BundleExpired):
            submitter.bundle("team-a", made.id)
        with pytest.raises(NotFound):
            submitter.bundle("team-a", BundleId.generate())


async def test_a_name_with_every_kind_of_character_is_served(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_CONTENT, name=_NAME)
        path = f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/%C3%A4%20b%2541%26.jar"
        async with live.raw() as (reader, writer):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            assert answer.endswith(_CONTENT)
            assert b"filename*=UTF-8''%C3%A4%20b%2541%26.jar" in answer
