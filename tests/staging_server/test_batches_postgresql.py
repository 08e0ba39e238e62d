"""Batches on PostgreSQL, where two processes write at the same time."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.batches import Batch, BatchedBlob
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from tests.conftest import missing
from tests.staging_server import postgresql
from tests.submission.conftest import ServerProcess

pytestmark = pytest.mark.services


def _created(client: StagingClient, contents: Sequence[bytes], *, namespace: str) -> None:
    files = tuple(
        NewFile(kind=Kind.JAR, name=FileName(f"{number}.jar"), size=len(content), digest=Digest.of(content))
        for number, content in enumerate(contents)
    )
    client.create(namespace, NewBundle(application="job", files=files), idempotency_key=namespace)


def _sent(client: StagingClient, contents: Sequence[bytes], *, namespace: str) -> None:
    blobs = tuple(BatchedBlob(digest=Digest.of(content), size=len(content)) for content in contents)
    client.put_blobs(namespace, Batch(blobs=blobs), contents)


def test_two_processes_that_get_the_same_blobs_in_any_order_store_them_once(tmp_path: Path) -> None:
    programs = postgresql.find_programs()
    if programs is None:
        missing("PostgreSQL's server is not installed (Debian: postgresql)")
        return
    contents = [os.urandom(1000 + number) for number in range(60)]
    with ExitStack() as stack:
        url = stack.enter_context(postgresql.running(programs)).render_as_string(hide_password=False)
        http, clients = stack.enter_context(closing(HttpClient())), []
        for _ in range(2):
            process = ServerProcess(
                tmp_path, SPARK_STAGING_SERVER_AUTH__MODE="none", SPARK_STAGING_SERVER_STORAGE__DATABASE_URL=url
            )
            stack.callback(process.stop)
            process.start()
            clients.append(StagingClient(url=process.url, token=None, http=http))
        for namespace in ("team-a", "team-b"):
            _created(clients[0], contents, namespace=namespace)
        threads = stack.enter_context(ThreadPoolExecutor(12))
        sending = [
            threads.submit(_sent, client, some, namespace=namespace)
            for client in clients
            for namespace in ("team-a", "team-b")
            for some in (contents[:40], contents[:19:-1], contents[::2])
        ]
        assert [one.result() for one in sending] == [None] * 12
        usage = clients[1].usage()
    size = sum(map(len, contents))
    assert (usage.blobs, usage.stored_size) == (60, size)
    assert [(one.blobs, one.blob_size, one.reserved) for one in usage.namespaces] == [(60, size, 0)] * 2
    assert len([path for path in (tmp_path / "data" / "sha256").rglob("*") if path.is_file()]) == 60
    assert not list((tmp_path / "data" / "uploads").iterdir())
