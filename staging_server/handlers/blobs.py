"""Blobs: whole uploads by digest."""

from aiohttp import web

from staging_protocol.digests import Digest
from staging_server.answers import no_content
from staging_server.bodies import body_of, check_content, declared_size
from staging_server.exchange import Exchange


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
    with (
        metrics.uploads_in_flight.track_inprogress(),
        body_of(request, size=size, stall=stall, received=metrics.uploaded) as body,
    ):
        await uploads.put(tenant, digest, size, body, caller=exchange.caller)
    return web.Response(status=201)
