"""Our server as operators start it, with bundles for the scenarios."""

import hashlib
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from benchmarks.certificates import Certificates
from benchmarks.processes import RunFailed, running
from staging_io.exchange import HttpSettings
from staging_io.http import HttpClient, bearer
from staging_io.staging import StagingClient
from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.api.operators import NewSweep
from staging_protocol.digests import Digest
from staging_protocol.errors import SourceUnavailable, Unavailable
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId, Token

NAMESPACE: Final = "benchmarks"
FORGET: Final = {"RETENTION__BLOB_KEEP": "0.1", "RETENTION__BLOB_GRACE": "0"}
"""Settings with which `forget` removes what a run uploaded, or the disk fills."""

_STARTED_WITHIN: Final = 60.0
"""Seconds."""

_LAST_WORDS: Final = 2000
"""Characters of its log that a failure shows; the log itself goes with the data."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle of the server and the token that opens it."""

    id: BundleId
    token: Token = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingServer:
    """A running server; `pid` is the root of its tree of processes."""

    pid: int
    url: str
    client: StagingClient
    http: HttpClient = field(repr=False)

    def want(self, files: Sequence[NewFile], *, namespace: str = NAMESPACE) -> Bundle:
        """Create a bundle that wants the blobs of `files`."""
        created = self.client.create(
            namespace, NewBundle(application="benchmark", files=tuple(files)), idempotency_key=secrets.token_hex(16)
        )
        return Bundle(created.id, Token.parse(created.token))

    def forget(self) -> None:
        """Remove the bytes of ended bundles, on a server with the settings `FORGET`."""
        for _ in range(2):  # the first ends the hold on the blobs, the second removes their bytes
            self.client.sweep(NewSweep())

    def stage(self, paths: Sequence[Path]) -> Bundle:
        """Upload all files as jars and return their sealed bundle."""
        files = [describe(path) for path in paths]
        bundle = self.want(files)
        for path, file in zip(paths, files, strict=True):
            with path.open("rb") as content:
                self.client.put_blob(NAMESPACE, file.digest, size=file.size, content=content)
        self.client.seal(NAMESPACE, bundle.id)
        return bundle

    def file_request(self, bundle: Bundle, path: Path) -> tuple[str, Mapping[str, str]]:
        """Return URL and headers that read a staged file."""
        reader = StagingClient(url=self.url, token=bundle.token, http=self.http)
        return reader.file_request(NAMESPACE, bundle.id, f"{Kind.JAR}/{quote(path.name, safe='')}")

    def manifest_request(self, bundle: Bundle) -> tuple[str, Mapping[str, str]]:
        """Return URL and headers that read a manifest."""
        url = f"{self.url}/v1/namespaces/{NAMESPACE}/bundles/{bundle.id}/manifest"
        return url, bearer(bundle.token.text, url=url, allow_plain_http=False)

    def blob_url(self, digest: Digest, *, namespace: str = NAMESPACE) -> str:
        """Return where a wanted blob is PUT."""
        return f"{self.url}/v1/namespaces/{namespace}/blobs/{digest}"


def describe(path: Path) -> NewFile:
    """Return the file as a create request names it."""
    with path.open("rb") as file:
        digest = Digest.of_hash(hashlib.file_digest(file, "sha256").digest())
    return jar(path.name, size=path.stat().st_size, digest=digest)


def jar(name: str, *, size: int, digest: Digest) -> NewFile:
    """Return a jar as a create request names it."""
    return NewFile(kind=Kind.JAR, name=FileName(name), size=size, digest=digest)


@contextmanager
def staging_server(
    folder: Path, *, settings: Mapping[str, str] | None = None, tls: Certificates | None = None
) -> Iterator[StagingServer]:
    """Run the server over `folder/server` on a free port until the block ends.

    `settings` are added to the defaults, by their name without the prefix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, log = _free_port(), folder / "server.log"
    given = {"PORT": str(port), "STORAGE__FOLDER": str(folder / "server"), "AUTH__MODE": "none"}
    given |= {**_tls_settings(tls), **(settings or {})}
    environment = {f"SPARK_STAGING_SERVER_{name}": value for name, value in given.items()}
    http = HttpClient(HttpSettings(ca_file=str(tls.ca) if tls else None))
    try:
        with running([program("spark-staging-server"), "serve"], environment=environment, log=log) as process:
            url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            client = StagingClient(url=url, token=None, http=http)
            _wait(client, process=process)
            yield StagingServer(pid=process.pid, url=url, client=client, http=http)
    except RunFailed as error:
        msg = f"{error}\nThe server's last words: {log.read_text()[-_LAST_WORDS:]}"
        raise RunFailed(msg) from error
    finally:
        http.close()


def _tls_settings(tls: Certificates | None) -> dict[str, str]:
    if tls is None:
        return {}
    return {"TLS__CERTIFICATE_FILE": str(tls.certificate), "TLS__KEY_FILE": str(tls.key)}


def program(name: str) -> str:
    """Return the path of one of our commands, as installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))


def _wait(client: StagingClient, *, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.info()
        except (SourceUnavailable, Unavailable):
            time.sleep(0.02)
        else:
            return
    raise RunFailed("the staging server does not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
