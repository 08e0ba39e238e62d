"""One HDFS as the source sees it: statuses, listings, checksums and bytes of paths.

Answers are JSON but for the bytes.  `path` is as HDFS has it, decoded; `name` is what messages call it.
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from resolver.sources.base import Algorithm, Checksum
from resolver.sources.hdfs.datanodes import DataNodes
from resolver.sources.hdfs.namenodes import PATIENCE, NameNodes, Question
from resolver.sources.hdfs.nameservices import Nameservice
from resolver.sources.hdfs.refusals import no_webhdfs
from resolver.sources.hdfs.statuses import BatchAnswer, ChecksumAnswer, FileStatus, ListAnswer, StatusAnswer
from resolver.sources.outside import Outside
from staging_io.http import Answer
from staging_protocol.errors import InvalidRequest, PermanentError, SourceUnavailable, TransientError
from staging_protocol.wire import decode

T = TypeVar("T", bound=msgspec.Struct)

_MAX_JSON: Final = 64 * 1024 * 1024
"""Bytes of an answer; a file in a listing has some 250.  Servers with LISTSTATUS_BATCH send a thousand at a time."""

_COMPOSITE: Final[Mapping[str, Algorithm]] = {"COMPOSITE-CRC32C": "crc32c", "COMPOSITE-CRC32": "crc32"}


class Cluster:
    """Asks one nameservice; safe to use from several threads."""

    def __init__(self, service: Nameservice, *, outside: Outside) -> None:
        several = len(service.urls) > 1
        self.identity = service.identity
        self._nodes = NameNodes(
            service,
            http=outside.http.hastier(seconds=PATIENCE) if several else outside.http,
            allow_plain_http=outside.settings.allow_plain_http,
        )
        self._data = DataNodes(self._nodes, http=outside.http)
        self._lists_in_batches = True
        self._has_checksums = True

    def status(self, path: str, *, name: str) -> FileStatus:
        """Return what is at `path`, file or folder."""
        question = Question(operation="GETFILESTATUS", path=path, name=name)
        return self._json(self._nodes.ask(question), question, into=StatusAnswer).status

    def open(self, path: str, *, name: str, start: int, stop: int | None) -> Answer:
        """Return an answer with the bytes from `start` to `stop`, or to the end when that is earlier."""
        parameters: dict[str, str | int] = {"offset": start} if start else {}
        if stop is not None:
            parameters["length"] = stop - start
        return self._data.ask(Question(operation="OPEN", path=path, name=name, parameters=parameters))

    def checksums(self, path: str, *, name: str) -> tuple[Checksum, ...]:
        """Return a checksum that a reader of bytes can compute, if the cluster makes such ones.

        By default it makes the MD5 of MD5s of CRCs of blocks, which only Hadoop's own client can compare; with
        `dfs.checksum.combine.mode` COMPOSITE_CRC it is the CRC of the file.  A cluster without is asked once.
        """
        if not self._has_checksums:
            return ()
        question = Question(operation="GETFILECHECKSUM", path=path, name=name)
        try:
            found = self._json(self._data.ask(question), question, into=ChecksumAnswer).checksum
            return (Checksum(algorithm=_COMPOSITE[found.algorithm], value=bytes.fromhex(found.bytes)[:4]),)
        except TransientError:
            return ()  # the bytes themselves may come all the same
        except (PermanentError, KeyError, ValueError):
            self._has_checksums = False
            return ()

    def entries(self, path: str, *, name: str) -> Iterator[FileStatus]:
        """Give what is in a folder; for a file, itself without a name."""
        if self._lists_in_batches:
            try:
                yield from self._batches(path, name=name)
            except InvalidRequest:
                self._lists_in_batches = False  # Hadoop before 2.9 does not know the operation
            else:
                return
        question = Question(operation="LISTSTATUS", path=path, name=name)
        yield from self._json(self._nodes.ask(question), question, into=ListAnswer).listing.statuses

    def _batches(self, path: str, *, name: str) -> Iterator[FileStatus]:
        after = ""
        while True:
            parameters = {"startAfter": after} if after else {}
            question = Question(operation="LISTSTATUS_BATCH", path=path, name=name, parameters=parameters)
            page = self._json(self._nodes.ask(question), question, into=BatchAnswer).listing
            statuses = page.partial_listing.listing.statuses
            yield from statuses
            if page.remaining_entries <= 0:
                return
            if not statuses or statuses[-1].path_suffix == after:
                msg = f"{name}: the listing does not go on"
                raise SourceUnavailable(msg)
            after = statuses[-1].path_suffix

    def _json(self, answer: Answer, question: Question, *, into: type[T]) -> T:
        with answer:
            if "json" not in answer.headers.get("Content-Type", "").lower():
                raise no_webhdfs(name=question.name, asked=self._nodes.active, why="it answers what is no JSON")
            data = answer.read(_MAX_JSON + 1)
        if len(data) > _MAX_JSON:
            msg = f"{question.name}: the answer to {question.operation} is too long; name a smaller folder"
            raise InvalidRequest(msg)
        try:
            return decode(data, into=into)
        except InvalidRequest as error:
            msg = f"{question.name}: the answer to {question.operation} is not understood: {error.detail}"
            raise SourceUnavailable(msg) from error
