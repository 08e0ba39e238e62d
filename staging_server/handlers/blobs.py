"""Blobs: whole uploads by digest."""

from aiohttp import web

from staging_protocol.digests import Digest
from staging_server.answers import no_content
from staging_server.bodies import check_content, declared_size
from staging_server.exchange import Exchange
from staging_server.uploads.request_body import RequestBody


async def put(exchange: Exchange) -> web.Response:
    """Take a whole blob, which is verified before it exists; 204 when the tenant has it already.

    Everything that can be refused is refused before the body is asked for.
    """
    request, settings, metrics = exchange.request, exchange.parts.settings, exchange.state.metrics
    digest = Digest(request.match_info["digest"])
    check_content(request, content_type="application/octet-stream")
    size = declared_size(request)
    with (
        RequestBody(request, timeouts=settings.timeouts, heard=metrics.uploaded) as body,
        metrics.uploads_in_flight.track_inprogress(),
    ):
        held = await exchange.parts.uploads.put(exchange.tenant, digest, size, body, caller=exchange.caller)
    return no_content() if held else web.Response(status=201)
