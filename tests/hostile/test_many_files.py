"""A bundle of as many files as the limits allow works in every way, in bounded memory; one file more is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from resolver.resolve import resolve
from resolver.settings import ResolveSettings
from resolver.sources.choose import Sources
from resolver.sources.staged import StagedSource
from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.api.creation import FileState, NewBundle, NewFile
from staging_protocol.api.operators import NewSweep
from staging_protocol.digests import Digest
from staging_protocol.errors import BundleExpired, TooLarge
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId, Token
from tests.end_to_end import programs
from tests.resolver.outside import outside

_MOST: Final = 10_000
_CONTENTS: Final = tuple(f"content {number}".encode() for number in range(50))
"""Few contents for many names: what is tested is the number of files, and each blob is stored once."""

_ADDED: Final = 200
"""MiB that the server may need for all of this: a create of 3 MB is read, checked, and written in one transaction."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[programs.Server]:
    settings = {"RETENTION__BLOB_KEEP": "0.1", "RETENTION__BLOB_GRACE": "0", "STORAGE__SYNCHRONOUS": "normal"}
    with programs.running(programs.Server(folder=tmp_path / "server", settings=settings)) as running:
        yield running


def _bundle(count: int) -> NewBundle:
    return NewBundle(
        application="many",
        files=tuple(
            NewFile(kind=Kind.FILE, name=FileName(f"{number:05}-é.txt"), size=len(content), digest=Digest.of(content))
            for number in range(count)
            for content in (_CONTENTS[number % len(_CONTENTS)],)
        ),
    )


def _peak(server: programs.Server) -> float:
    """Return the MiB that the server process has needed at most, as the kernel knows it."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def test_ten_thousand_files_are_staged_resolved_and_swept(server: programs.Server, tmp_path: Path) -> None:
    http = HttpClient()
    client = StagingClient(url=server.url, token=None, http=http)
    before = _peak(server)
    try:
        with pytest.raises(TooLarge, match="10001"):
            client.create("spark", _bundle(_MOST + 1), idempotency_key="too-many")
        made = client.create("spark", _bundle(_MOST), idempotency_key="many")
        assert made.files == (FileState.WANTED,) * _MOST
        for content in _CONTENTS:
            client.put_blob("spark", Digest.of(content), size=len(content), content=[content])
        client.seal("spark", made.id)
        again = client.create("spark", _bundle(_MOST), idempotency_key="again")
        assert (again.sealed, again.files) == (True, (FileState.HELD,) * _MOST)

        assert [one.files for one in client.bundles("spark").bundles] == [_MOST, _MOST]
        assert client.explain("spark", made.id).bundle.files == _MOST
        _resolve(server, made.id, Token.parse(made.token), folder=tmp_path / "pod")

        for one in (made, again):
            client.delete("spark", one.id)
        with pytest.raises(BundleExpired):
            client.bundle("spark", made.id)
        _swept(client)
        assert _peak(server) - before < _ADDED
        assert _open_files(server) < 100
    finally:
        http.close()


def _resolve(server: programs.Server, bundle: BundleId, token: Token, *, folder: Path) -> None:
    http = HttpClient()
    client = StagingClient(url=server.url, token=token, http=http)
    try:
        manifest = client.manifest("spark", bundle)
        assert len(manifest.entries) == _MOST
        resolved = resolve(
            manifest,
            folder_of=lambda _kind: folder,
            sources=Sources(
                outside(http),
                staged=lambda: StagedSource(client, namespace="spark", bundle=bundle),
            ),
            settings=ResolveSettings(deadline=300),
        )
    finally:
        http.close()
    assert len(resolved) == _MOST
    assert len(list(folder.iterdir())) == _MOST
    for number in range(0, _MOST, 997):
        assert (folder / f"{number:05}-é.txt").read_bytes() == _CONTENTS[number % len(_CONTENTS)]


def _swept(client: StagingClient) -> None:
    """Sweep until nothing is stored any more: blobs are given up in one sweep and removed in another."""
    for _ in range(100):
        client.sweep(NewSweep())
        if client.usage().blobs == 0:
            return
    pytest.fail(f"something is left: {client.usage()}")


def _open_files(server: programs.Server) -> int:
    assert server.process is not None
    return psutil.Process(server.process.pid).num_fds()
