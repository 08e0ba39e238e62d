"""A Google Cloud Storage for tests, the source that reads from it, and buckets of each test's own."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import msgspec

from resolver.sources.base import Source
from resolver.sources.gcs.source import GcsSource
from resolver.sources.outside import Outside
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.sources import GcsSources, SourceSettings
from staging_protocol.uris import DependencyUri
from tests.services.fake_gcs import FakeGcs

HASTY = HttpSettings(connect_timeout=5, stall_timeout=5)


@contextmanager
def way_out(
    gcs: GcsSources,
    *,
    secrets: Path | None = None,
    http: HttpSettings = HASTY,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Outside]:
    """Give a way out with these settings and this environment, without rules of egress."""
    with closing(HttpClient(http)) as client:
        yield Outside(
            http=client, settings=SourceSettings(gcs=gcs), secrets=secrets or Path("/nonexistent"),
            connection=http, environment=environment or {},
        )  # fmt: skip


def anonymous(url: str) -> GcsSources:
    """Return the settings for a storage that asks nobody who he is."""
    return GcsSources(endpoint=url, anonymous=True)


@dataclass
class ServedByGcs:
    """A bucket of the test's own."""

    gcs: FakeGcs
    outside: Outside
    bucket: str = field(default_factory=lambda: f"bucket-{uuid4().hex}")

    def __post_init__(self) -> None:
        self.gcs.make_bucket(self.bucket)
        self.source: Source = GcsSource(self.outside)

    def uri(self, name: str, *, query: str = "") -> DependencyUri:
        return DependencyUri.parse(f"gs://{self.bucket}/{quote(name)}{query}")

    def put(self, name: str, content: bytes) -> DependencyUri:
        self.gcs.put(self.bucket, name, content)
        return self.uri(name)

    def missing(self) -> DependencyUri:
        return self.uri("nothing-here.jar")

    def unreachable(self) -> tuple[Source, DependencyUri]:
        settings = SourceSettings(gcs=anonymous("http://127.0.0.1:9"))
        return GcsSource(msgspec.structs.replace(self.outside, settings=settings)), self.uri("a.jar")

    def folder(self) -> DependencyUri:
        return DependencyUri(scheme="gs", authority=self.bucket, path="/")

    def put_many(self, names: Iterable[str]) -> None:
        self.gcs.put_many(self.bucket, {name: name.encode() for name in names})

    def make_folder(self, name: str) -> None:
        self.gcs.put(self.bucket, f"{name}/", b"")
