"""Blobs: whole uploads by digest."""

from collections.abc import AsyncIterator

from aiohttp import web

from staging_protocol.digests import Digest
from staging_server.answers import no_content
from staging_server.bodies import check_content, chunks_of, declared_size
from staging_server.exchange import Exchange
from staging_server.metrics import Metrics


async def put(exchange: Exchange) -> web.Response:
    """Take a whole blob, which is verified before it exists; 204 when the tenant has it already.

    Everything that can be refused is refused before the body is asked for.
    """
    tenant, request = exchange.tenant, exchange.request
    digest = Digest(request.match_info["digest"])
    check_content(request, content_type="application/octet-stream")
    size = declared_size(request)
    uploads, metrics = exchange.parts.uploads, exchange.state.metrics
    if (await uploads.check(tenant, digest, size)).held:
        return no_content()
    stall = exchange.parts.settings.timeouts.stall
    with metrics.uploads_in_flight.track_inprogress():
        chunks = _counted(chunks_of(request, stall=stall), metrics)
        await uploads.put(tenant, digest, size, chunks, caller=exchange.caller)
    return web.Response(status=201)


async def _counted(chunks: AsyncIterator[bytes], metrics: Metrics) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        metrics.uploaded(len(chunk))
        yield chunk
