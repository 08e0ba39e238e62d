"""Dependencies in Google Cloud Storage, by its JSON API.

What is stored is what is delivered: an object that is stored as gzip comes as gzip, with the checksums of that.
A version is a generation.  Parts are asked for by it, so an object that is replaced meanwhile is noticed, or, in a
bucket that keeps versions, read to its end.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import msgspec

from resolver.sources.base import Identified, Listed, Lists, Reading, Source, Stat, Version, no_bytes
from resolver.sources.gcs.api import GET_RIGHT, Api
from resolver.sources.gcs.listing import listed
from resolver.sources.gcs.objects import FIELDS, GcsObject, Metadata, is_as_stored, object_of, stat_of
from resolver.sources.outside import Outside
from resolver.sources.ranged import HttpReading, read_range
from staging_io.http import Answer
from staging_protocol.errors import InvalidRequest, NotFound, RangeNotSatisfiable, SourceChanged, SourceUnavailable
from staging_protocol.uris import DependencyUri
from staging_protocol.wire import decode

_MAX_METADATA: Final = 64 * 1024


class GcsSource:
    """Reads from any bucket."""

    def __init__(self, outside: Outside) -> None:
        self._api = Api(outside)

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask for the object's metadata."""
        place = _object(uri)
        with self._ask(place, {"fields": FIELDS}, {}) as answer:
            if answer.status != 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1
                raise self._api.refused(answer, uri=uri, right=GET_RIGHT)
            try:
                return decode(answer.read(_MAX_METADATA), into=Metadata).stat
            except InvalidRequest as error:
                msg = f"{uri} was answered with what are no metadata"
                raise SourceUnavailable(msg) from error

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Read with one ranged GET, which tells the metadata too."""
        place = _object(uri)
        pinned = place if version is None else _pinned(place, version, uri=uri)
        try:
            reading = read_range(
                partial(self._ask, pinned, {"alt": "media"}),
                name=str(uri), version=None, start=start, stop=stop,
                refusal=partial(self._api.refused, uri=uri, right=GET_RIGHT),
            )  # fmt: skip
        except NotFound as error:
            if version is None:
                raise
            # That generation is gone; whether there is another one is for the next try to find out.
            raise _changed(uri) from error
        except RangeNotSatisfiable:
            return self._end(uri, version, start=start)
        return _checked(reading, version, uri=uri)

    def list(self, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
        """List by pages of a thousand."""
        return listed(self._api, uri, deep=deep)

    def identity(self, uri: DependencyUri) -> str:
        """Return the account and what named it."""
        return self._api.identity(object_of(uri).bucket)

    def _ask(self, place: GcsObject, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        generation = {} if place.generation is None else {"generation": place.generation}
        # Else Google would unpack what is stored as gzip, and neither sizes nor checksums would be right.
        stored = {"Accept-Encoding": "gzip"} if "alt" in query else {}
        return self._api.get(
            place.bucket, f"/{place.path}", query={**query, **generation}, headers={**stored, **headers}
        )

    def _end(self, uri: DependencyUri, version: Version | None, *, start: int) -> AbstractContextManager[Reading]:
        """A range behind the last byte was refused, without saying where that is."""
        stat = self.stat(uri)
        if version not in {None, stat.version}:
            raise _changed(uri)
        if stat.size != start:
            msg = f"{uri} was said to have nothing from byte {start} on, and to have {stat.size} bytes"
            raise SourceUnavailable(msg)
        return no_bytes(stat, at=start)


def _object(uri: DependencyUri) -> GcsObject:
    place = object_of(uri)
    if not place.name:
        msg = f"{uri} names a bucket, not an object in it"
        raise InvalidRequest(msg)
    return place


def _pinned(place: GcsObject, version: Version, *, uri: DependencyUri) -> GcsObject:
    is_generation = version.text.isascii() and version.text.isdigit()
    if not is_generation or place.generation not in {None, version.text}:
        raise _changed(uri)
    return msgspec.structs.replace(place, generation=version.text)


def _checked(reading: HttpReading, wanted: Version | None, *, uri: DependencyUri) -> HttpReading:
    """Return the reading with what Google says in its headers."""
    answer = reading.answer
    if answer.status == 416:  # noqa: PLR2004 - RFC 9110, section 15.5.17; its headers may describe the error
        return reading
    stat = stat_of(reading.stat, answer.headers)
    if wanted is not None and stat.version != wanted:
        answer.close()
        raise _changed(uri)
    if not is_as_stored(answer.headers):
        answer.close()
        msg = f"{uri} is stored as gzip and was unpacked on the way: something between changes Accept-Encoding"
        raise InvalidRequest(msg)
    return msgspec.structs.replace(reading, stat=stat, stop=stat.size if reading.stop is None else reading.stop)


def _changed(uri: DependencyUri) -> SourceChanged:
    return SourceChanged(f"{uri} changed while it was downloaded")


_: tuple[type[Source], type[Lists], type[Identified]] = (GcsSource, GcsSource, GcsSource)
