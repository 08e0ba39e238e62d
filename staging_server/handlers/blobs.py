"""Blobs: whole uploads, one by its digest or many small ones together."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from staging_protocol import batches
from staging_protocol.digests import Digest
from staging_server.answers import no_content
from staging_server.bodies import check_content, declared_size
from staging_server.exchange import Exchange
from staging_server.uploads.request_body import RequestBody


async def put(exchange: Exchange) -> web.Response:
    """Take a whole blob, which is verified before it exists; 204 when the tenant has it already.

    Everything that can be refused is refused before the body is asked for.
    """
    digest = Digest(exchange.request.match_info["digest"])
    check_content(exchange.request, content_type="application/octet-stream")
    size = declared_size(exchange.request)
    with _body(exchange) as body:
        held = await exchange.parts.uploads.put(exchange.tenant, digest, size, body, caller=exchange.caller)
    return _stored(held=held)


async def put_many(exchange: Exchange) -> web.Response:
    """Take many small blobs, each verified before any exists; 204 when the tenant has all of them already."""
    check_content(exchange.request, content_type=batches.CONTENT_TYPE)
    size = declared_size(exchange.request)
    with _body(exchange) as body:
        held = await exchange.parts.batches.put(exchange.tenant, size, body, caller=exchange.caller)
    return _stored(held=held)


@contextmanager
def _body(exchange: Exchange) -> Iterator[RequestBody]:
    timeouts, metrics = exchange.parts.settings.timeouts, exchange.state.metrics
    with (
        RequestBody(exchange.request, timeouts=timeouts, heard=metrics.uploaded) as body,
        metrics.uploads_in_flight.track_inprogress(),
    ):
        yield body


def _stored(*, held: bool) -> web.Response:
    return no_content() if held else web.Response(status=201)
