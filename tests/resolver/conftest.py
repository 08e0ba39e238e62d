"""A web server that does wrong on purpose, a real nginx, and a way to resolve in one line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from resolver.resolve import resolve
from resolver.run import Observer, Resolved
from resolver.settings import ResolveSettings, RetrySettings
from resolver.sources.choose import Sources
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from tests.conftest import missing
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.outside import outside
from tests.services.nginx import Nginx, NginxMissing, running_nginx

QUICK = RetrySettings(attempts=4, first_wait=0.01, longest_wait=0.05)


@dataclass
class Resolving:
    """Resolves entries into a folder of the test; `http` may be replaced."""

    folder: Path
    http: HttpClient

    def __call__(
        self, *entries: ManifestEntry, settings: ResolveSettings | None = None, observer: Observer | None = None
    ) -> tuple[Resolved, ...]:
        """Resolve; all kinds go to one folder."""
        return resolve(
            Manifest(entries=entries),
            folder_of=lambda _kind: self.folder,
            sources=Sources(outside(self.http)),
            settings=settings or ResolveSettings(retry=QUICK, part_size=10_000, buffer_size=1000, deadline=60),
            observer=observer,
        )

    def names(self) -> set[str]:
        """Return all names in the folder, hidden ones included."""
        return {path.name for path in self.folder.iterdir()}


def entry(uri: str, target: str, *, kind: Kind = Kind.FILE, content: bytes | None = None) -> ManifestEntry:
    """Return an entry; with `content` it has its size and digest."""
    from staging_protocol.digests import Digest

    return ManifestEntry(
        uri=uri, kind=kind, target=FileName(target),
        digest=None if content is None else Digest.of(content), size=None if content is None else len(content),
    )  # fmt: skip


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(HttpSettings(connect_timeout=5, stall_timeout=5))
    yield client
    client.close()


@pytest.fixture
def resolving(tmp_path: Path, http: HttpClient) -> Resolving:
    return Resolving(tmp_path / "volume", http)


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


NGINX_LOCATIONS = """
location / { }
location /norange/ { alias %(root)s/; max_ranges 0; }
location /notag/ { alias %(root)s/; etag off; }
location /auth/ { alias %(root)s/; auth_basic x; auth_basic_user_file %(folder)s/htpasswd; }
location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }
location = /loop { return 302 /loop; }
location /busy { add_header Retry-After 7 always; return 503; }
location /forbidden { return 403; }
"""


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    # {SHA} is base64 of SHA-1, of the password "open sesame".
    (folder / "htpasswd").write_text("ali:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=\n")
    try:
        with running_nginx(folder, locations=NGINX_LOCATIONS % {"root": folder / "www", "folder": folder}) as server:
            yield server
    except NginxMissing as error:
        missing(str(error))


@pytest.fixture
def serve(nginx: Nginx, request: pytest.FixtureRequest) -> Callable[[str, bytes], str]:
    """Serve bytes by nginx under a path of the test's own; returns the path."""
    folder = f"{abs(hash(request.node.nodeid)):x}"

    def put(name: str, content: bytes) -> str:
        path = nginx.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"{folder}/{name}"

    return put
