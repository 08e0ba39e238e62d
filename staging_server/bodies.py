"""Reading request bodies: nothing is read before it is known to be acceptable, and nobody is waited for for ever.

`100 Continue` is sent here, by the reader of the body: at that time the caller is authorized and the sizes are within
the limits (aiohttp would send it before any of our code runs).  A body that stays unread costs the connection.
"""

import asyncio
import re
from typing import Final, TypeVar

from aiohttp import HttpVersion11, hdrs, web

from staging_protocol.digests import Digest
from staging_protocol.errors import (
    RequestDamaged,
    RequestTimeout,
    SizeRequired,
    TooLarge,
    UnsupportedEncoding,
)
from staging_protocol.wire import decode

T = TypeVar("T")

_DECIMAL: Final = re.compile(r"[0-9]{1,19}")


async def defer_continue(request: web.Request) -> None:
    """Do nothing about `Expect` yet; expectations that we do not know may be ignored (RFC 9110, section 10.1.1)."""


def declared_size(request: web.Request) -> int:
    """Return the Content-Length.

    Raises:
        SizeRequired: there is none, or the body comes in chunks.
    """
    size = request.headers.get(hdrs.CONTENT_LENGTH, "")
    if hdrs.TRANSFER_ENCODING in request.headers or not _DECIMAL.fullmatch(size):
        msg = "send the size of the body as Content-Length"
        raise SizeRequired(msg)
    return int(size)


def check_content(request: web.Request, *, content_type: str) -> None:
    """Refuse bodies of another type, and encoded ones: they would have another size and digest than promised.

    Raises:
        UnsupportedEncoding: the body is one of these.
    """
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if encoding.lower() != "identity":
        msg = f"bodies with Content-Encoding {encoding[:40]!r} are not accepted; send the plain bytes"
        raise UnsupportedEncoding(msg)
    if request.content_type != content_type:
        msg = f"expected Content-Type {content_type}, not {request.content_type[:80]!r}"
        raise UnsupportedEncoding(msg)


async def read_json(request: web.Request, *, limit: int, seconds: float) -> bytes:
    """Return a JSON body of at most `limit` bytes, which has to arrive within `seconds`.

    Raises:
        TooLarge: it is larger; known before reading when its size is declared.
        RequestTimeout: it did not arrive in time.
        UnsupportedEncoding: it is not plain JSON.
        RequestDamaged: it has not the digest that its sender states (RFC 9530): a wrong name would be kept for ever.
    """
    check_content(request, content_type="application/json")
    _check_limit(request.content_length or 0, limit=limit)
    await send_continue(request)
    body = await _read(request, limit=limit, seconds=seconds)
    stated = request.headers.get("Content-Digest")
    if stated is not None and Digest.of_repr_digest(stated) not in {None, Digest.of(body)}:
        msg = "the body was changed on its way: it does not have the stated Content-Digest; send it again"
        raise RequestDamaged(msg)
    return body


async def _read(request: web.Request, *, limit: int, seconds: float) -> bytes:
    if request.content.is_eof():  # all of it came with the head, as small bodies do
        body = request.content.read_nowait()
        _check_limit(len(body), limit=limit)
        return body
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while chunk := await request.content.readany():
                received += chunk
                _check_limit(len(received), limit=limit)
    except TimeoutError as error:
        msg = f"the body did not arrive within {seconds:g} s"
        raise RequestTimeout(msg) from error
    return bytes(received)


async def read_struct(request: web.Request, *, into: type[T], limit: int, seconds: float) -> T:
    """Return a JSON body as a value; raises what `read_json` does, and InvalidRequest with the path of a bad field."""
    return decode(await read_json(request, limit=limit, seconds=seconds), into=into)


def _check_limit(size: int, *, limit: int) -> None:
    if size > limit:
        msg = f"the body is larger than {limit} bytes"
        raise TooLarge(msg)


async def send_continue(request: web.Request) -> None:
    """Ask for the body, when the client waits for that."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What was sent is not yet the answer.
        request.writer.output_size = 0
