"""What a `gs://` URI names, and what Google says about it.

    gs://bucket/folder/app.jar                  the object `folder/app.jar` as it is now
    gs://bucket/app.jar?generation=1731000000   this generation of it, and no other

As for all URIs, the path is percent-decoded once.  A generation names one state of an object for ever, so it is a
strong version.  CRC-32C is stated of every object, MD5 of all but composed ones.
"""

import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from resolver.sources.base import Checksum, Stat, Version
from staging_protocol.errors import InvalidRequest
from staging_protocol.uris import DependencyUri

FIELDS: Final = "name,size,generation,crc32c,md5Hash"
"""What is asked for of an object, instead of the two kilobytes that Google has."""

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_GENERATION: Final = re.compile(r"generation=([0-9]{1,19})")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_SIZES: Final = {"crc32c": 4, "md5": 16}
"""Bytes of each checksum."""


class GcsObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object, or the beginning of the names of some."""

    bucket: str
    name: str
    generation: str | None

    @property
    def path(self) -> str:
        """How it is written behind the bucket's `/o/`."""
        return quote(self.name, safe="")


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """An object as the JSON API describes it; numbers are strings there."""

    name: str = ""
    size: str = ""
    generation: str = ""
    crc32c: str = ""
    md5_hash: str = ""

    @property
    def stat(self) -> Stat:
        """The same in our words."""
        stated = {"crc32c": self.crc32c, "md5": self.md5_hash}
        return Stat(size=_number(self.size), version=_version(self.generation), checksums=_checksums(stated))


def object_of(uri: DependencyUri) -> GcsObject:
    """Return what `uri` names; its name is empty where that is the whole bucket.

    Raises:
        InvalidRequest: it names no bucket, no possible object, or has a query that means nothing here.
    """
    if not _BUCKET.fullmatch(uri.authority or ""):
        msg = f"{uri} names no bucket of Google Cloud Storage; write gs://bucket/object"
        raise InvalidRequest(msg)
    name = uri.object_name
    if name in {".", ".."}:  # which Google does not have either; in a path they would mean something else
        msg = f"{uri} names no object"
        raise InvalidRequest(msg)
    return GcsObject(bucket=uri.authority or "", name=name, generation=_generation(uri))


def stat_of(stat: Stat, headers: Mapping[str, str]) -> Stat:
    """Return what an answer with bytes says about the whole object; `stat` is what its usual headers say."""
    stored = _number(headers.get("x-goog-stored-content-length", ""))
    return msgspec.structs.replace(
        stat,
        size=stored if stat.size is None else stat.size,
        version=_version(headers.get("x-goog-generation", "")),
        says_less=not stat.checksums,
    )


def is_as_stored(headers: Mapping[str, str]) -> bool:
    """Tell whether bytes come as they are stored; Google unpacks what is stored as gzip for those who do not ask."""
    stored = headers.get("x-goog-stored-content-encoding")
    return stored is None or stored == headers.get("Content-Encoding", "identity")


def _generation(uri: DependencyUri) -> str | None:
    if uri.query is None:
        return None
    match = _GENERATION.fullmatch(uri.query)
    if match is None:
        msg = f"{uri} has a query that is not understood: only generation=<number> is"
        raise InvalidRequest(msg)
    return match[1]


def _version(generation: str) -> Version | None:
    return Version(generation, strong=True) if generation.isascii() and generation.isdigit() else None


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _checksums(stated: Mapping[str, str]) -> tuple[Checksum, ...]:
    return tuple(
        Checksum(algorithm=algorithm, value=value)  # type: ignore[arg-type] # a key of `_SIZES`
        for algorithm, size in _SIZES.items()
        if len(value := _decoded(stated.get(algorithm, ""))) == size
    )


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        # A checksum that cannot be read verifies nothing.
        return b""
