"""The source for HDFS over a real one, with a folder of each test's own."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import msgspec

from resolver.resolve import resolve
from resolver.run import Silent
from resolver.settings import ResolveSettings, RetrySettings
from resolver.sources.base import Reading, Source, Version
from resolver.sources.choose import Sources
from resolver.sources.hdfs.source import HdfsSource
from resolver.sources.outside import Outside
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import StagingError
from staging_protocol.manifest import Manifest
from staging_protocol.sources import HdfsNameservice, HdfsSources, SourceSettings
from staging_protocol.uris import DependencyUri
from tests.conftest import missing
from tests.resolver.conftest import entry
from tests.services.hadoop import SUPERUSER, Hadoop, running_hadoop
from tests.services.hadoop_jars import HadoopMissing
from tests.services.nginx import Nginx, NginxMissing, NginxTls, running_nginx

HASTY = HttpSettings(connect_timeout=5, stall_timeout=5)
PERSISTENT = ResolveSettings(
    part_size=1_000_000, buffer_size=100_000, deadline=180, connections=4,
    retry=RetrySettings(attempts=1000, first_wait=0.05, longest_wait=0.2),
)  # fmt: skip


@contextmanager
def hadoop_or_missing(folder: Path, *, standby: bool = False) -> Iterator[Hadoop]:
    """Run an HDFS for the tests of a module."""
    try:
        with running_hadoop(folder, standby=standby) as hadoop:
            yield hadoop
    except HadoopMissing as error:
        missing(str(error))


@contextmanager
def way_out(
    hdfs: HdfsSources,
    *,
    secrets: Path | None = None,
    http: HttpSettings = HASTY,
    allow_plain_http: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Outside]:
    """Give a way out with these settings and this environment, without rules of egress."""
    settings = SourceSettings(hdfs=hdfs, allow_plain_http=allow_plain_http)
    with closing(HttpClient(http)) as client:
        yield Outside(
            http=client, settings=settings, secrets=secrets or Path("/nonexistent"),
            connection=http, environment=environment or {},
        )  # fmt: skip


def named(hadoop: Hadoop, *, user: str | None = SUPERUSER, urls: tuple[str, ...] | None = None) -> HdfsSources:
    """Return the settings that call an HDFS `ns`."""
    return HdfsSources(user=user, nameservices={"ns": HdfsNameservice(urls=urls or hadoop.urls)})


@dataclass
class ServedByHdfs:
    """A folder of the test's own."""

    hadoop: Hadoop
    outside: Outside
    path: str = field(default_factory=lambda: f"/t-{uuid4().hex}")

    def __post_init__(self) -> None:
        self.source: Source = HdfsSource(self.outside)

    def uri(self, name: str) -> DependencyUri:
        return DependencyUri.parse(f"hdfs://ns{self.path}/{quote(name)}")

    def put(self, name: str, content: bytes) -> DependencyUri:
        self.hadoop.put(f"{self.path}/{name}", content)
        return self.uri(name)

    def missing(self) -> DependencyUri:
        return self.uri("nothing-here.jar")

    def unreachable(self) -> tuple[Source, DependencyUri]:
        settings = SourceSettings(hdfs=named(self.hadoop, urls=("http://127.0.0.1:9",)))
        return HdfsSource(msgspec.structs.replace(self.outside, settings=settings)), self.uri("a.jar")

    def folder(self) -> DependencyUri:
        return DependencyUri(scheme="hdfs", authority="ns", path=f"{self.path}/")

    def put_many(self, names: Iterable[str]) -> None:
        self.hadoop.put_many(f"{self.path}/{name}" for name in names)

    def make_folder(self, name: str) -> None:
        assert self.hadoop.ask("PUT", "MKDIRS", f"{self.path}/{name}").status == 200


class Interrupted(HdfsSource):
    """Before the third of its reads something happens."""

    def __init__(self, outside: Outside, happens: Callable[[], None]) -> None:
        super().__init__(outside)
        self._happens = happens
        self._lock = threading.Lock()
        self.reads = 0

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        with self._lock:
            self.reads += 1
            if self.reads == 3:
                self._happens()
        return super().read(uri, version=version, start=start, stop=stop)


def download(uri: DependencyUri, folder: Path, *, source: HdfsSource, outside: Outside) -> list[StagingError]:
    """Download a file in parts of a megabyte, as `a.jar`; return why something was tried again."""
    sources, noting = Sources(outside), _Noting()
    sources._made["hdfs"] = source
    resolve(
        Manifest(entries=(entry(uri.text, "a.jar"),)),
        folder_of=lambda _kind: folder, sources=sources, settings=PERSISTENT, observer=noting,
    )  # fmt: skip
    return noting.errors


class _Noting(Silent):
    def __init__(self) -> None:
        self.errors: list[StagingError] = []

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        del uri, seconds
        self.errors.append(error)


@contextmanager
def front_of(hadoop: Hadoop, folder: Path, *, tls: NginxTls | None = None) -> Iterator[Nginx]:
    """Run an nginx before both servers: redirects lead to it too, but for those below `/as-they-are`."""
    locations = f"""
    proxy_http_version 1.1;
    proxy_buffering off;
    location /webhdfs/ {{
      proxy_pass {hadoop.url};
      proxy_redirect {hadoop.datanode_url}/ $scheme://$http_host/dn/;
    }}
    location /dn/ {{ proxy_pass {hadoop.datanode_url}/; }}
    location /as-they-are/ {{ proxy_pass {hadoop.url}/; }}
    """
    try:
        with running_nginx(folder, locations=locations, tls=tls) as nginx:
            yield nginx
    except NginxMissing as error:
        missing(str(error))
