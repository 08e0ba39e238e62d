"""The source for S3: stat by HEAD, bytes by ranged GET with If-Match on every part, listings by pages."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import msgspec

from resolver.sources.base import Checksum, Identified, Listed, Lists, Reading, Source, Stat, Version, no_bytes
from resolver.sources.outside import Outside
from resolver.sources.ranged import HttpReading, read_range, refused, size_of
from resolver.sources.s3.asking import Asking, Question
from resolver.sources.s3.listing import entries
from resolver.sources.s3.objects import S3Object, object_of, uri_of
from resolver.sources.s3.part_sizes import part_sizes
from resolver.sources.s3.refusals import archived
from resolver.sources.s3.stated import WITH_CHECKSUMS, Composite, is_archived, stat_of, version_of
from staging_io.http import Answer
from staging_protocol.errors import RangeNotSatisfiable
from staging_protocol.uris import DependencyUri

_PARTIAL: Final = 206
_BEHIND_THE_END: Final = 416

_SLOW_TO_HASH: Final = 1024 * 1024
"""Bytes from which on an MD5 (1.5 ms a MiB) takes longer than asking for another checksum.  Answers to ranges do not
state one, not even where the range is the whole object."""


class S3Source:
    """Reads from S3 and from services that speak like it."""

    def __init__(self, outside: Outside) -> None:
        self._asking = Asking(outside)

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask with HEAD; when the checksum is one of the checksums of parts, ask for their sizes, too."""
        what, name = object_of(uri), str(uri)
        question = Question(method="HEAD", what=what, name=name, headers=WITH_CHECKSUMS)
        with self._asking.open(question) as answer:
            if is_archived(answer.headers):
                raise archived(name)
            stat, of_parts = stat_of(answer.headers, size=size_of(answer))
        if not of_parts or stat.size is None:
            return stat
        sizes = part_sizes(partial(self._part_size, question, stat), count=of_parts[0].count, size=stat.size)
        return stat if sizes is None else msgspec.structs.replace(
            stat, checksums=(*stat.checksums, *(_of_parts(one, sizes) for one in of_parts))
        )  # fmt: skip

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Read with one ranged GET, which S3 refuses when the object has another version."""
        what, name = object_of(uri), str(uri)

        def get(headers: Mapping[str, str]) -> Answer:
            return self._asking.open(
                Question(method="GET", what=what, name=name, headers={**headers, **WITH_CHECKSUMS})
            )  # fmt: skip

        refusal = partial(refused, name=name)
        try:
            reading = read_range(get, name=name, version=version, start=start, stop=stop, refusal=refusal)
        except RangeNotSatisfiable:
            # AWS says so of each range of an empty object, too, without a word about its size.
            stat = self.stat(uri)
            if stat.size is None or start < stat.size:
                raise
            return no_bytes(stat, at=stat.size)
        return msgspec.structs.replace(reading, stat=_stat_of_reading(reading))

    def list(self, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
        """List the objects whose keys begin with that of `uri`, by pages of up to a thousand."""
        beginning, name = object_of(uri), str(uri)
        bucket = S3Object(bucket=beginning.bucket, key="")

        def ask(query: Mapping[str, str]) -> Answer:
            return self._asking.open(Question(method="GET", what=bucket, name=name, query=query))

        for entry in entries(ask, prefix=beginning.key, deep=deep, name=name):
            if not entry.is_folder:
                stat = Stat(size=entry.size, version=version_of(entry.etag))
                yield Listed(uri=uri_of(entry.key, like=uri), stat=stat)

    def identity(self, uri: DependencyUri) -> str:
        """Return who asks for `uri`."""
        return self._asking.identity(object_of(uri))

    def _part_size(self, question: Question, stat: Stat, number: int) -> int | None:
        tag = {} if stat.version is None else {"if-match": stat.version.text}
        query = {"partNumber": str(number)}
        with self._asking.open(msgspec.structs.replace(question, query=query, headers=tag)) as answer:
            return size_of(answer) if answer.status == _PARTIAL else None


def _stat_of_reading(reading: HttpReading) -> Stat:
    """Return what an answer with bytes says about the whole; of a part S3 states the part's checksums, if any."""
    answer, size = reading.answer, reading.stat.size
    if answer.status == _BEHIND_THE_END:
        return reading.stat
    if (reading.start, reading.stop) != (0, size):
        return Stat(size=size, version=reading.stat.version, says_less=True)
    stat, of_parts = stat_of(answer.headers, size=size)
    says_less = bool(of_parts) or (answer.status == _PARTIAL and _has_only_md5(stat))
    return msgspec.structs.replace(stat, says_less=says_less)


def _has_only_md5(stat: Stat) -> bool:
    """Tell whether all that is stated of a large object is its MD5."""
    only = stat.digest is None and all(one.algorithm == "md5" for one in stat.checksums)
    return only and (stat.size or 0) > _SLOW_TO_HASH


def _of_parts(one: Composite, sizes: tuple[int, ...]) -> Checksum:
    return Checksum(algorithm=one.algorithm, value=one.value, parts=sizes)


_: type[Source] = S3Source
__: tuple[type[Lists], type[Identified]] = (S3Source, S3Source)
