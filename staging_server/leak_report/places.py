"""Which store a place names: a path, or what `spark.kubernetes.file.upload.path` says."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from staging_protocol.errors import InvalidRequest
from staging_server.leak_report.buckets import SCHEMES, open_bucket
from staging_server.leak_report.folders import open_folder
from staging_server.leak_report.stores import UploadStore

_MOUNTS: Final = (
    "only folders and s3a://BUCKET/PREFIX can be looked at: mount it read-only (gcsfuse, blobfuse2, or the NFS gateway "
    "of HDFS) and name the folder"
)


def open_store(place: str) -> AbstractContextManager[UploadStore]:
    """Open a folder, named by path or `file:` URI, or a bucket in S3; it is closed in the end.

    Raises:
        NotFound: it is not there.
        Denied: it may not be read.
        SourceUnavailable: it does not answer.
        InvalidRequest: it is no folder, or in a store that is not known; the message says what is possible.
    """
    scheme = urlsplit(place).scheme if "://" in place or place.startswith("file:/") else ""
    if scheme in SCHEMES:
        return open_bucket(place)
    if scheme not in {"", "file"}:
        msg = f"{scheme}:// cannot be listed; {_MOUNTS}"
        raise InvalidRequest(msg)
    return open_folder(Path(unquote(urlsplit(place).path) if scheme else place).absolute())
