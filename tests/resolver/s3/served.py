"""Dependencies in a real S3 for tests, and the source that reads them."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import msgspec

from resolver.sources.base import Source
from resolver.sources.outside import Outside
from resolver.sources.s3.source import S3Source
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.sources import S3AccessKey, S3Sources, SourceSettings
from staging_protocol.uris import DependencyUri
from tests.services.seaweedfs import REGION, SeaweedFs

HASTY: Final = HttpSettings(connect_timeout=5, stall_timeout=10)
KEY_FILES: Final = S3AccessKey(id="s3/id", secret="s3/secret")


@contextmanager
def way_out(s3: S3Sources, *, secrets: Path | None = None, http: HttpSettings = HASTY) -> Iterator[Outside]:
    """Give a way out with these settings, without rules of egress."""
    with closing(HttpClient(http)) as client:
        yield Outside(
            http=client, settings=SourceSettings(s3=s3), secrets=secrets or Path("/nonexistent"), connection=http
        )  # fmt: skip


def write_key(secrets: Path, *, key: str, secret: str, token: str | None = None) -> S3AccessKey:
    """Write an access key as the keys of a mounted Secret; return how the settings name it."""
    folder = secrets / "s3"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "id").write_text(key + "\n")
    (folder / "secret").write_text(secret)
    if token is None:
        return KEY_FILES
    (folder / "token").write_text(token)
    return msgspec.structs.replace(KEY_FILES, session_token="s3/token")


def reached(url: str, *, key: S3AccessKey | None = KEY_FILES) -> S3Sources:
    """Return the settings for a service at `url`; no key means that whoever is found asks."""
    return S3Sources(endpoint=url, region=REGION, access_key=key)


@dataclass
class ServedByS3:
    """A folder of the test's own in a bucket."""

    s3: SeaweedFs
    outside: Outside
    bucket: str
    prefix: str = field(default_factory=lambda: f"{uuid4().hex}/")

    def __post_init__(self) -> None:
        self.source: Source = S3Source(self.outside)

    def uri(self, name: str, *, query: str = "") -> DependencyUri:
        return DependencyUri.parse(f"s3a://{self.bucket}/{quote(self.prefix + name)}{query}")

    def put(self, name: str, content: bytes) -> DependencyUri:
        self.s3.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content)
        return self.uri(name)

    def put_in_parts(self, name: str, content: bytes, *, sizes: Iterable[int], algorithm: str) -> DependencyUri:
        """Store an object by a multipart upload with parts of these sizes, each with its checksum."""
        client, key = self.s3.client, self.prefix + name
        upload = client.create_multipart_upload(Bucket=self.bucket, Key=key, ChecksumAlgorithm=algorithm)["UploadId"]
        parts, at = [], 0
        for number, size in enumerate(sizes, start=1):
            said = client.upload_part(
                Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number,
                Body=content[at : at + size], ChecksumAlgorithm=algorithm,
            )  # fmt: skip
            checksum = f"Checksum{algorithm}"
            parts.append({"PartNumber": number, "ETag": said["ETag"], checksum: said[checksum]})
            at += size
        client.complete_multipart_upload(
            Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )  # fmt: skip
        assert at == len(content)
        return self.uri(name)

    def missing(self) -> DependencyUri:
        return self.uri("nothing-here.jar")

    def source_at(self, url: str) -> S3Source:
        """Return a source that asks at `url` instead."""
        s3 = msgspec.structs.replace(self.outside.settings.s3, endpoint=url)
        return S3Source(msgspec.structs.replace(self.outside, settings=SourceSettings(s3=s3)))

    def unreachable(self) -> tuple[Source, DependencyUri]:
        return self.source_at("http://127.0.0.1:9"), self.uri("a.jar")

    def folder(self) -> DependencyUri:
        return DependencyUri(scheme="s3a", authority=self.bucket, path=f"/{self.prefix}")

    def put_many(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: self.put(name, name.encode()), names))

    def make_folder(self, name: str) -> None:
        self.put(f"{name}/", b"")


def with_environment(names: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which AWS's tools find these variables, no files and no machine's role."""
    return {
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent/config",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials", **names,
    }  # fmt: skip
