"""A bucket in S3 as an upload store, listed with botocore.

Who asks, the region and the endpoint are found as the AWS CLI finds them (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, …).
Only listings and reads are asked for.  Keys come in order, so those of a folder come together: pages of a thousand take
no memory, and a folder is its first object.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from staging_protocol.errors import Denied, InvalidRequest, NotFound, SourceUnavailable, StagingError
from staging_protocol.printable import printable
from staging_server.leak_report.naming import is_upload_folder
from staging_server.leak_report.stores import Problems, StoredFile, UploadFolder, UploadStore

SCHEMES: Final = frozenset({"s3", "s3a", "s3n"})

_BUFFER: Final = 256 * 1024
_CONNECT_WITHIN: Final = 10
_ANSWERS_WITHIN: Final = 60
"""Seconds."""

_NOT_THERE: Final = frozenset({"NoSuchBucket", "NoSuchKey", "404"})
_REFUSED: Final = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403"})


@contextmanager
def open_bucket(place: str) -> Iterator[UploadStore]:
    """Open `s3a://BUCKET/PREFIX`.

    Raises:
        NotFound: there is no such bucket.
        Denied: it may not be listed, or nobody is found who could ask.
        SourceUnavailable: it does not answer.
        InvalidRequest: it names no bucket, or botocore is not installed.
    """
    parts = urlsplit(place)
    if not parts.netloc:
        msg = f"{printable(place)} names no bucket; write s3a://BUCKET/PREFIX"
        raise InvalidRequest(msg)
    prefix = unquote(parts.path).strip("/")
    client = _client()
    try:
        store = _Bucket(client, parts.netloc, prefix=f"{prefix}/" if prefix else "")
        store.look()
        yield store
    finally:
        client.close()


def _client() -> Any:
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session
    except ImportError as error:
        msg = "a bucket is listed with botocore: install spark-staging[s3] beside the server, or mount the bucket"
        raise InvalidRequest(msg) from error
    config = Config(
        connect_timeout=_CONNECT_WITHIN, read_timeout=_ANSWERS_WITHIN, retries={"mode": "standard", "max_attempts": 5}
    )
    try:
        return get_session().create_client("s3", config=config)
    except (BotoCoreError, ValueError) as error:  # a profile that is not there, an endpoint that is no URL
        msg = f"S3 cannot be asked: {printable(str(error))}"
        raise InvalidRequest(msg) from error


class _Bucket:
    """A prefix in a bucket.  Paths are relative to it, without a `/` at either end."""

    def __init__(self, client: Any, bucket: str, *, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    @property
    def deletes(self) -> str:
        return "xargs -0 -r -I {} aws s3 rm --recursive {}/"

    def look(self) -> None:
        """Ask for one object, to see who may ask."""
        with _translated(self.shown("")):
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    def shown(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{path}".rstrip("/")

    def folders(self, problems: Problems) -> Iterator[UploadFolder]:
        last = None
        for path, found in self._objects("", problems):
            *folders, _ = path.split("/")
            depth = next((at for at, name in enumerate(folders) if is_upload_folder(name)), None)
            folder = None if depth is None else "/".join(folders[: depth + 1])
            if folder is not None and folder != last:
                last = folder
                yield UploadFolder(path=folder, modified=found["LastModified"].timestamp())

    def files(self, folder: UploadFolder, problems: Problems) -> Iterator[StoredFile]:
        at = f"{folder.path}/"
        for path, found in self._objects(at, problems):
            if name := path.removeprefix(at):  # else it is a mark of the folder itself
                yield StoredFile(name=name, size=found["Size"], modified=found["LastModified"].timestamp())

    def sha256(self, folder: UploadFolder, file: StoredFile, problems: Problems) -> bytes | None:
        path, digest = f"{folder.path}/{file.name}", hashlib.sha256()
        try:
            with _translated(self.shown(path)):
                body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"]
                with body:
                    for piece in body.iter_chunks(_BUFFER):
                        digest.update(piece)
        except NotFound:  # somebody deleted it, which is no problem
            return None
        except StagingError as error:
            problems.add(self.shown(path), error.detail)
            return None
        return digest.digest()

    def _objects(self, at: str, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield path and fields of each object below `at`."""
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + at)
        )
        while True:
            try:
                with _translated(self.shown(at)):
                    page = next(pages, None)
            except StagingError as error:
                problems.add(self.shown(at), error.detail)
                return
            if page is None:
                return
            for found in page.get("Contents", ()):
                yield found["Key"].removeprefix(self._prefix), found


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn botocore's exceptions into ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _ours(error, name=printable(name)) from error


def _ours(error: Exception, *, name: str) -> StagingError:
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Denied(f"{name}: no credentials are found; set AWS_PROFILE, or what else the AWS CLI takes")
    if not isinstance(error, ClientError):
        return SourceUnavailable(f"{name}: {printable(str(error))}")
    code = error.response.get("Error", {}).get("Code", "")
    if code in _NOT_THERE:
        return NotFound(f"{name} is not there")
    if code in _REFUSED:
        return Denied(f"{name} may not be read: S3 says {printable(code)}")
    return SourceUnavailable(f"{name}: S3 says {printable(code)}")


_: type[UploadStore] = _Bucket
