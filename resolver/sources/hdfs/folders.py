"""What is in a folder of HDFS, or below it.

Folders are walked by their URIs as they are written; what the server calls a name is quoted into them, whatever it is.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote

from resolver.sources.base import Listed
from resolver.sources.hdfs.cluster import Cluster
from resolver.sources.hdfs.statuses import FOLDER
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.printable import printable
from staging_protocol.uris import DependencyUri

_MAX_FOLDERS: Final = 10_000
_MAX_PATH: Final = 8000
"""Characters of a path: HdfsServerConstants.MAX_PATH_LENGTH."""


def walk(cluster: Cluster, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
    """Give the files whose URIs begin with `uri`: those of its folder, and with `deep` all below.

    Raises:
        NotFound: there is no such folder.
        InvalidRequest: there are too many folders, or what cannot be one.
    """
    top, _, prefix = uri.path.rpartition("/")
    beginning = unquote(prefix)
    folders, seen = [f"{top}/"], 0
    while folders:
        seen += 1
        if seen > _MAX_FOLDERS:
            msg = f"{uri} has more than {_MAX_FOLDERS} folders; name a smaller one"
            raise InvalidRequest(msg)
        folder = folders.pop()
        for entry in cluster.entries(unquote(folder), name=str(uri)):
            if not entry.path_suffix:
                msg = f"{uri}: {folder.rstrip('/')} is a file, no folder"
                raise NotFound(msg)
            if not entry.path_suffix.startswith(beginning):
                continue
            path = folder + quote(entry.path_suffix, safe="")
            if entry.type != FOLDER:
                yield Listed(uri=replace(uri, path=path, fragment=None), stat=entry.stat)
            elif deep:
                folders.append(_folder(path, entry.path_suffix, uri=uri))
        beginning = ""


def _folder(path: str, name: str, *, uri: DependencyUri) -> str:
    if name in {".", ".."} or "/" in name or len(path) > _MAX_PATH:
        msg = f"{uri} has a folder that HDFS cannot have: {printable(name[:100])}"
        raise InvalidRequest(msg)
    return f"{path}/"
