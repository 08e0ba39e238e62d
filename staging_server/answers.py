"""The forms of an answer that handlers share."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from staging_protocol.wire import encode

_JSON: Final = "application/json"


def json_answer(value: msgspec.Struct, *, status: int = 200) -> web.Response:
    """Answer with `value` as JSON."""
    return json_bytes(encode(value), status=status)


def json_bytes(body: bytes, *, status: int = 200) -> web.Response:
    """Answer with JSON that is already written."""
    return web.Response(status=status, body=body, headers={hdrs.CONTENT_TYPE: _JSON, hdrs.CACHE_CONTROL: "no-store"})


def no_content() -> web.Response:
    """Answer that it is done, and that there is nothing to say."""
    return web.Response(status=204)


def plain_text(text: str, *, status: int = 200) -> web.Response:
    """Answer with text for people."""
    return web.Response(status=status, text=text, headers={hdrs.CACHE_CONTROL: "no-store"})
