"""`BlobResponse`: the bytes of a blob, whole or a range, straight from the file to the socket.

    plain HTTP   small: header and body in one write.   else: header, then `sendfile`
    TLS          pieces that stay in the processor's cache (`encrypted_send`)

aiohttp's FileResponse knows neither our entity tag nor If-Range with one (it answers 206 to a stale one).
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from staging_protocol.digests import Digest
from staging_server.blobs.base import OpenBlob
from staging_server.sending.encrypted import send_encrypted
from staging_server.sending.kernel import KernelSender
from staging_server.sending.page_cache import read_if_warm, warm
from staging_server.sending.preconditions import Selection

SMALL: Final = 128 * 1024
"""Bytes up to which one read and one write are cheaper than sendfile; at most this waits for a slow client."""

_READ_SIZE: Final = 1024 * 1024
_STRETCH: Final = 16 * 1024 * 1024
"""Bytes that one sendfile is asked for: after each the page cache is looked at again, and `sent` is up to date."""

_KEPT: Final = 1024
"""Files whose header fields are kept: about 1 MB."""

_CACHE_CONTROL: Final = "private, max-age=31536000, immutable"


class BlobResponse(web.StreamResponse):
    """Answers GET and HEAD of one blob; `selection` None is 304.

    The blob is opened when the answer is sent, and closed whatever happens.  `sent` counts the bytes of the body.
    """

    def __init__(
        self,
        *,
        digest: Digest,
        name: str,
        selection: Selection | None,
        open_blob: Callable[[], Awaitable[OpenBlob]],
        owner: Hashable,
    ) -> None:
        """`owner` is whose readers share their turns when there is more to send than can be sent."""
        super().__init__(status=_status(selection), headers=_fields(digest, name=name))
        self._selection = selection
        self._open_blob = open_blob
        self._owner = owner
        self.sent = 0
        if selection is None:
            del self.headers[hdrs.CONTENT_TYPE]
            return
        self.content_length = selection.count
        if selection.partial:
            self.headers[hdrs.CONTENT_RANGE] = selection.content_range

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send header and body."""
        selection = self._selection
        if self.prepared or selection is None or request.method == hdrs.METH_HEAD or selection.count == 0:
            return await super().prepare(request)
        blob = await self._open_blob()
        try:
            return await self._send(request, blob, selection)
        finally:
            await blob.close()

    async def _send(self, request: web.BaseRequest, blob: OpenBlob, selection: Selection) -> AbstractStreamWriter:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError(_GONE)
        encrypted = transport.get_extra_info("sslcontext") is not None
        if encrypted and selection.count > SMALL:
            writer = await self._head(request)
            stop = selection.start + selection.count
            await send_encrypted(writer, transport, blob, selection.start, stop, sent=self._count)
        elif blob.file is None or selection.count <= SMALL:
            # Read first: what cannot be read can still become an error's answer.
            first = self._read_now(blob, selection) or await self._read(blob, selection)
            writer = await self._head(request)
            await self._by_reading(writer, blob, selection, first=first)
        else:
            writer = await self._by_kernel(request, transport, blob, selection)
        await self._end(request, selection)
        return writer

    def _count(self, size: int) -> None:
        self.sent += size

    async def _by_reading(
        self, writer: AbstractStreamWriter, blob: OpenBlob, selection: Selection, *, first: bytes | bytearray
    ) -> None:
        chunk = first
        while chunk:
            # aiohttp holds the head back until the first write, so both leave in one packet when they fit.
            await writer.write(chunk)
            self.sent += len(chunk)
            chunk = await self._read(blob, selection)

    def _read_now(self, blob: OpenBlob, selection: Selection) -> bytearray | None:
        """Return the whole of a small answer when it is in memory: no thread is asked then."""
        if blob.file is None or selection.count > SMALL:
            return None
        return read_if_warm(blob.file, selection.start, size=selection.count)

    async def _read(self, blob: OpenBlob, selection: Selection) -> bytes:
        left = selection.count - self.sent
        return await blob.read(selection.start + self.sent, size=min(_READ_SIZE, left)) if left else b""

    async def _by_kernel(
        self, request: web.BaseRequest, transport: asyncio.Transport, blob: OpenBlob, selection: Selection
    ) -> AbstractStreamWriter:
        connection = transport.get_extra_info("socket")
        # The head waits for the first bytes of the body and leaves in their packet (as nginx's tcp_nopush).
        _cork(connection, on=True)
        try:
            writer = await self._head(request)
            writer.send_headers()
            await self._sendfile(transport, blob, selection)
            # For a file system without sendfile, and for a head that waits behind the answer before.
            await self._by_reading(writer, blob, selection, first=await self._read(blob, selection))
        finally:
            _cork(connection, on=False)
        return writer

    async def _sendfile(self, transport: asyncio.Transport, blob: OpenBlob, selection: Selection) -> None:
        """Let the kernel send all, or stop early where it cannot or the file ends."""
        file = blob.file
        if file is None or transport.is_closing() or transport.get_write_buffer_size():
            return
        sender = KernelSender(transport.get_extra_info("socket").fileno(), owner=self._owner)
        try:
            while self.sent < selection.count:
                start = selection.start + self.sent
                stop = min(selection.stop, start + _STRETCH)
                await warm(file, start, stop)
                count = await sender.send(file.fileno(), start, stop)
                self.sent += count
                if count == 0:
                    return
        except OSError as error:
            if error.errno not in _NO_SENDFILE:
                # Reset by the client, or TCP_USER_TIMEOUT ended a stall.
                transport.abort()
                raise ConnectionResetError(_GONE) from error
        finally:
            sender.close()

    async def _head(self, request: web.BaseRequest) -> AbstractStreamWriter:
        writer = await super().prepare(request)
        if writer is None:
            raise ConnectionResetError(_GONE)
        return writer

    async def _end(self, request: web.BaseRequest, selection: Selection) -> None:
        if self.sent == selection.count:
            await super().write_eof()
            return
        # The size was promised: only a broken connection tells the client that this is not all.
        if request.transport is not None:
            request.transport.abort()
        msg = f"{self.sent} of {selection.count} bytes could be sent"
        raise ConnectionAbortedError(msg)


_GONE: Final = "the client is gone"
_NO_SENDFILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def _cork(connection: socket.socket, *, on: bool) -> None:
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)
    except OSError:
        # The client is gone; the next write says so.
        return


def _status(selection: Selection | None) -> int:
    if selection is None:
        return 304
    return 206 if selection.partial else 200


@lru_cache(maxsize=_KEPT)
def _fields(digest: Digest, *, name: str) -> Mapping[str, str]:
    return CIMultiDict(
        {
            hdrs.CONTENT_TYPE: "application/octet-stream",
            hdrs.ETAG: digest.etag,
            "Repr-Digest": digest.repr_digest,
            hdrs.ACCEPT_RANGES: "bytes",
            hdrs.CACHE_CONTROL: _CACHE_CONTROL,
            hdrs.CONTENT_DISPOSITION: _disposition(name),
            "X-Content-Type-Options": "nosniff",
        }
    )


def _disposition(name: str) -> str:
    """Return a Content-Disposition that saves under `name` and never shows the file in a page (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
