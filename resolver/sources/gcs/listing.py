"""What is in a bucket, page by page."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import msgspec

from resolver.sources.base import Listed
from resolver.sources.gcs.api import LIST_RIGHT, Api
from resolver.sources.gcs.objects import FIELDS, Metadata, object_of
from staging_protocol.errors import InvalidRequest, SourceUnavailable
from staging_protocol.uris import DependencyUri
from staging_protocol.wire import decode

_PAGE: Final = "1000"
"""Objects in an answer; Google gives no more."""
_MAX_ANSWER: Final = 16 * 1024 * 1024
"""Bytes; a thousand of the longest names, with every byte escaped, have seven million."""
_EMPTY_PAGES: Final = 1000
"""Pages without an object, one after another, that are believed; Google may send some."""


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    items: tuple[Metadata, ...] = ()
    next_page_token: str = ""


def listed(api: Api, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
    """Give every object whose name begins like `uri`, and, without `deep`, has no further slash."""
    start = object_of(uri)
    query = {"prefix": start.name, "maxResults": _PAGE, "fields": f"nextPageToken,items({FIELDS})"}
    query |= {} if deep else {"delimiter": "/"}
    empty = 0
    while True:
        page = _page(api, uri, bucket=start.bucket, query=query)
        empty = 0 if page.items else empty + 1
        for item in page.items:
            if not (item.name.endswith("/") and item.size == "0"):  # consoles make those for folders
                path = f"/{quote(item.name)}"
                yield Listed(uri=replace(uri, path=path, query=None, fragment=None), stat=item.stat)
        if not page.next_page_token:
            return
        if empty > _EMPTY_PAGES or page.next_page_token == query.get("pageToken"):
            msg = f"the listing of {uri} does not end"
            raise SourceUnavailable(msg)
        query["pageToken"] = page.next_page_token


def _page(api: Api, uri: DependencyUri, *, bucket: str, query: dict[str, str]) -> _Page:
    with api.get(bucket, "", query=query) as answer:
        if answer.status != 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1
            raise api.refused(answer, uri=uri, right=LIST_RIGHT)
        try:
            return decode(answer.read(_MAX_ANSWER), into=_Page)
        except InvalidRequest as error:
            msg = f"{uri} was answered with what is no listing"
            raise SourceUnavailable(msg) from error
