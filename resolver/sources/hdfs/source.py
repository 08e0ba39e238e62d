"""The source for HDFS.

WebHDFS has no If-Match.  That all bytes of a file are of one version is kept by asking for its status: before the first
bytes, and for parts again once a DataNode has opened the file.  What a DataNode has opened it gives, or breaks off.
So parts that were opened between two equal statuses are of that version.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from urllib.parse import unquote

import msgspec

from resolver.sources.base import Identified, Listed, Lists, Reading, Source, Stat, Version, no_bytes
from resolver.sources.hdfs.cluster import Cluster
from resolver.sources.hdfs.folders import walk
from resolver.sources.hdfs.nameservices import Nameservices
from resolver.sources.hdfs.statuses import FOLDER, FileStatus
from resolver.sources.outside import Outside
from resolver.sources.ranged import HttpReading, size_of
from staging_io.http import Answer
from staging_protocol.errors import InvalidRequest, SourceChanged, TransientError
from staging_protocol.uris import DependencyUri


class HdfsSource:
    """Reads from any number of nameservices."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._nameservices = Nameservices(outside)
        self._clusters: dict[tuple[str, str | None], Cluster] = {}

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask a NameNode."""
        place = self._place(uri)
        return place.stat_with_checksums(place.status())

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Read from a DataNode."""
        place = self._place(uri)
        status = place.status() if version is None else place.status_of(version)
        if 0 < status.length <= start:
            return no_bytes(status.stat, at=start)
        end = status.length if stop is None else min(stop, status.length)
        stat = place.stat_with_checksums(status) if version is None else status.stat
        answer = place.open(status, start=start, stop=end)
        try:
            place.check_size(answer, end - start)
            if version is not None or end - start < status.length:
                place.check(status)
        except BaseException:
            answer.close()
            raise
        return HttpReading(stat=stat, start=start, stop=end, answer=answer)

    def list(self, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
        """Ask a NameNode for each folder."""
        return walk(self._cluster(uri), uri, deep=deep)

    def identity(self, uri: DependencyUri) -> str:
        """Return the user or token that the settings name."""
        return self._cluster(uri).identity

    def _place(self, uri: DependencyUri) -> "_Place":
        if uri.query is not None:
            msg = f"{uri} has a query, which HDFS has not; a ? in a name is written %3F"
            raise InvalidRequest(msg)
        return _Place(cluster=self._cluster(uri), path=unquote(uri.path), name=str(uri))

    def _cluster(self, uri: DependencyUri) -> Cluster:
        """Return what asks the HDFS of `uri`; of two that threads make at the same time the first one stays."""
        key = uri.scheme, uri.authority
        found = self._clusters.get(key)
        if found is None:
            made = Cluster(self._nameservices.of(uri), outside=self._outside)
            found = self._clusters.setdefault(key, made)
        return found


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a cluster; `name` is what messages call it."""

    cluster: Cluster
    path: str
    name: str

    def status(self) -> FileStatus:
        """Ask what it is now."""
        status = self.cluster.status(self.path, name=self.name)
        if status.type == FOLDER:
            msg = f"{self.name} is a folder; with a slash at its end it means the files in it"
            raise InvalidRequest(msg)
        return status

    def stat_with_checksums(self, status: FileStatus) -> Stat:
        """Add the checksums that the cluster has."""
        if not status.length:
            return status.stat
        return msgspec.structs.replace(status.stat, checksums=self.cluster.checksums(self.path, name=self.name))

    def status_of(self, version: Version) -> FileStatus:
        """Return the status that `version` was made of."""
        status = FileStatus.of_version(version)
        if status is None:
            raise self.changed()
        return status

    def open(self, status: FileStatus, *, start: int, stop: int) -> Answer:
        """Open bytes; a position that is not there any more is no failure, but a change."""
        try:
            return self.cluster.open(self.path, name=self.name, start=start, stop=stop)
        except TransientError:
            self.check(status)
            raise

    def check(self, status: FileStatus) -> None:
        """Raise SourceChanged unless the file still is what it was."""
        if self.status().version != status.version:
            raise self.changed()

    def check_size(self, answer: Answer, expected: int) -> None:
        """Raise SourceChanged when the DataNode has opened a file of another size than the NameNode told."""
        if size_of(answer) not in {None, expected}:
            raise self.changed()

    def changed(self) -> SourceChanged:
        """Return the error for a file that is not what it was; of one that is being written nobody knows the size."""
        return SourceChanged(f"{self.name} changed while it was downloaded, or is still being written")


_a: type[Source] = HdfsSource
_b: type[Lists] = HdfsSource
_c: type[Identified] = HdfsSource
