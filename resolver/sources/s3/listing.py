"""Listings: ListObjectsV2, page by page."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from resolver.sources.s3.documents import elements
from staging_io.http import Answer
from staging_protocol.errors import InvalidRequest

_MOST: Final = 8 * 1024 * 1024
"""Bytes of a page: 1,000 keys of 1,024 bytes, each of which may be written as three, and 500 bytes around each."""

_FOLDER: Final = "_$folder$"
"""How old versions of EMR end the names of empty objects that stand for folders."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An object in a listing; `size` is None where the service does not say it."""

    key: str
    size: int | None
    etag: str

    @property
    def is_folder(self) -> bool:
        """Whether it is an empty object that stands for a folder."""
        return self.size == 0 and self.key.endswith(("/", _FOLDER))


def entries(ask: Callable[[Mapping[str, str]], Answer], *, prefix: str, deep: bool, name: str) -> Iterator[Entry]:
    """Give the objects whose keys begin with `prefix`; without `deep`, those whose keys have no further slash.

    Raises:
        InvalidRequest: pages come that do not follow one another, or other things than pages.
        SourceUnavailable: a page broke off.
    """
    token: str | None = ""
    folder = prefix.rpartition("/")[0]
    while token is not None:
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        query |= {} if deep else {"delimiter": "/"}
        query |= {"continuation-token": token} if token else {}
        with ask(query) as answer:
            page = _page(answer, name=name)
        for entry in page.entries:
            if entry.key.startswith(prefix) and (deep or "/" not in entry.key[len(folder) :].removeprefix("/")):
                yield entry
        token = page.next_token(token, name=name)


class _Page(msgspec.Struct, kw_only=True):
    entries: list[Entry]
    fields: dict[str, str]

    def next_token(self, token: str, *, name: str) -> str | None:
        """Return what the next page is asked by; None: there is none."""
        if self.fields.get("IsTruncated") != "true":
            return None
        following = self.fields.get("NextContinuationToken", "")
        if not following or following == token:
            msg = f"{name}: the listing goes on, but does not say where"
            raise InvalidRequest(msg)
        return following


def _page(answer: Answer, *, name: str) -> _Page:
    page, own = _Page(entries=[], fields={}), dict[str, str]()
    found: list[dict[str, str]] = []
    for path, text in elements(answer, root="ListBucketResult", most=_MOST, name=name):
        parent, _, field = path.rpartition("/")
        if path == "Contents":
            found.append(own)
            own = {}
        elif parent == "Contents":
            own[field] = text
        elif not parent:
            page.fields[field] = text
    is_encoded = page.fields.get("EncodingType") == "url"
    try:
        page.entries = [_entry(one, is_encoded=is_encoded) for one in found]
    except UnicodeDecodeError as error:
        msg = f"{name}: the listing has a key that is no UTF-8"
        raise InvalidRequest(msg) from error
    return page


def _entry(fields: Mapping[str, str], *, is_encoded: bool) -> Entry:
    key, size = fields.get("Key", ""), fields.get("Size", "")
    return Entry(
        # AWS writes a space as a plus sign here.
        key=unquote_plus(key, errors="strict") if is_encoded else key,
        size=int(size) if size.isascii() and size.isdecimal() and len(size) < 19 else None,  # noqa: PLR2004 - an exabyte
        etag=fields.get("ETag", ""),
    )  # fmt: skip
