"""What an S3 URI names.

    s3a://bucket/folder/app.jar                 the object `folder/app.jar` as it is now
    s3a://bucket/folder/app.jar?versionId=3HL4  this version of it, and no other

As for all URIs, the path is percent-decoded once; everything behind the slash after the bucket is the key, further
slashes, dots and spaces included.  Access keys in URIs (`s3n://key:secret@bucket/…`) are refused: URIs are shown.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from staging_protocol.errors import InvalidRequest
from staging_protocol.uris import DependencyUri

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
"""Old buckets have capitals, underscores and up to 255 characters."""

_VERSION: Final = re.compile(r"versionId=([A-Za-z0-9._~%/+-]{1,1024})")
_DIRECTORY: Final = "--x-s3"


class S3Object(msgspec.Struct, frozen=True, kw_only=True):
    """An object, or the beginning of the keys of some."""

    bucket: str
    key: str
    version_id: str | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query that names the version, if one is named."""
        return {} if self.version_id is None else {"versionId": self.version_id}


def object_of(uri: DependencyUri) -> S3Object:
    """Return what `uri` names; its key is empty where that is the whole bucket.

    Raises:
        InvalidRequest: it names no possible bucket, or has a query or user info, which mean nothing here.
    """
    bucket = uri.authority or ""
    if "@" in bucket:
        msg = f"{uri} has an access key in it; name files with the key in sources.json instead (s3.access_key)"
        raise InvalidRequest(msg)
    if not _BUCKET.fullmatch(bucket):
        msg = f"{uri} names no bucket; write {uri.scheme}://bucket/key"
        raise InvalidRequest(msg)
    if bucket.endswith(_DIRECTORY):
        msg = f"{uri} is in a directory bucket (S3 Express), which is not supported"
        raise InvalidRequest(msg)
    return S3Object(bucket=bucket, key=uri.object_name, version_id=_version_id(uri))


def uri_of(key: str, *, like: DependencyUri) -> DependencyUri:
    """Return the URI of an object in the bucket of `like`."""
    return DependencyUri(scheme=like.scheme, authority=like.authority, path=f"/{quote(key)}")


def _version_id(uri: DependencyUri) -> str | None:
    if uri.query is None:
        return None
    match = _VERSION.fullmatch(uri.query)
    if match is None:
        msg = f"{uri} has a query that is not understood: only versionId=… is; a ? in a key is written %3F"
        raise InvalidRequest(msg)
    return unquote(match[1])
