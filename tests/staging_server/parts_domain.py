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


async def stall(
    domain: Domain, upload: UploadId, whole: bytes, *, at: int
) -> tuple[asyncio.Task[Standing], asyncio.Event]:
    """Begin to send `whole` as one part beside the test; returns when `at` bytes were taken.

    The rest comes when the event is set.
    """
    sent, go_on = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield whole[: at // 2]
        yield whole[at // 2 : at]
        sent.set()
        async with asyncio.timeout(30):  # a test that fails shall not hang
            await go_on.wait()
        yield whole[at:]

    part = Part(offset=0, size=len(whole), complete=True)
    appending = domain.parts.resumable.append(RED, upload, part, Pieces(chunks()), caller=ALICE)
    task = asyncio.create_task(appending)
    await sent.wait()
    return task, go_on
