"""Short ways to upload in parts, below HTTP."""

import asyncio
from collections.abc import AsyncIterator

from staging_protocol.digests import Digest
from staging_protocol.uploads import UploadId
from staging_server.tenants import Caller, Tenant
from staging_server.uploads.resumable import Part, Standing
from tests.staging_server.domain import ALICE, RED, Domain, Pieces, chunks_of


async def begin(domain: Domain, content: bytes, *, tenant: Tenant = RED, caller: Caller = ALICE) -> UploadId:
    """Begin an upload of `content`, which an open bundle wants."""
    upload = await domain.parts.resumable.begin(tenant, Digest.of(content), len(content), caller=caller)
    assert upload is not None
    return upload


async def append(
    domain: Domain,
    upload: UploadId,
    content: bytes,
    *,
    offset: int = 0,
    complete: bool = False,
    tenant: Tenant = RED,
    caller: Caller = ALICE,
) -> Standing:
    """Add `content`, in two chunks."""
    part = Part(offset=offset, size=len(content), complete=complete)
    half = len(content) // 2
    body = chunks_of(content[:half], content[half:])
    return await domain.parts.resumable.append(tenant, upload, part, body, caller=caller)


async def offset_of(domain: Domain, upload: UploadId, *, tenant: Tenant = RED, caller: Caller = ALICE) -> int:
    """Take an upload over that is not complete, and return its offset."""
    standing = await domain.parts.resumable.standing(tenant, upload, caller=caller)
    assert not standing.state.complete
    return standing.state.offset


class Stalling:
    """A body that sends `content`, and `then` the rest when it is told to `go_on`.

    `sent` is set when all of `content` was taken.
    """

    def __init__(self, *content: bytes, then: bytes = b"") -> None:
        self.sent = asyncio.Event()
        self.go_on = asyncio.Event()
        self._content = content
        self._then = then

    async def _chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._content:
            yield chunk
        self.sent.set()
        async with asyncio.timeout(30):  # a test that fails shall not hang
            await self.go_on.wait()
        yield self._then

    @property
    def body(self) -> Pieces:
        """The body, once."""
        return Pieces(self._chunks())


def start(domain: Domain, upload: UploadId, part: Part, body: Pieces) -> asyncio.Task[Standing]:
    """Begin to append beside the test."""
    return asyncio.create_task(domain.parts.resumable.append(RED, upload, part, body, caller=ALICE))
