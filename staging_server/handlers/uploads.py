"""Uploads in parts: draft-ietf-httpbis-resumable-upload-15, without its 104 interim response.

As with whole blobs, everything that can be refused is refused before the body is asked for.
"""

from typing import Final

from aiohttp import hdrs, web

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NotFound, StagingError
from staging_protocol.uploads import (
    COMPLETE,
    CONTENT_TYPE,
    DIGEST,
    LENGTH,
    LIMIT,
    OFFSET,
    UploadId,
    UploadLimits,
    UploadState,
    read_flag,
    read_integer,
)
from staging_server.answers import no_content
from staging_server.bodies import check_content, declared_size
from staging_server.exchange import Exchange
from staging_server.uploads.request_body import RequestBody
from staging_server.uploads.resumable import Part, Standing

_DONE: Final = 201
_MORE: Final = 204


async def create(exchange: Exchange) -> web.Response:
    """Begin an upload, perhaps with its first part; 204 when the tenant has the blob already."""
    tenant, request, resumable = exchange.tenant, exchange.request, exchange.parts.resumable
    check_content(request, content_type=CONTENT_TYPE)
    size = read_integer(request.headers, LENGTH)
    part = Part(offset=0, size=declared_size(request), complete=read_flag(request.headers, COMPLETE))
    part.check(size)
    upload = await resumable.begin(tenant, _digest(request), size, caller=exchange.caller)
    if upload is None:
        return _answer(_MORE, UploadState(offset=size, complete=True))
    state = UploadState(offset=0, complete=False)
    if part.size or part.complete:
        state = (await _append_first(exchange, upload, part)).state
    answer = _answer(_DONE, state)
    answer.headers[hdrs.LOCATION] = f"/v1/namespaces/{tenant.namespace}/uploads/{upload}"
    answer.headers[LIMIT] = _limits(exchange).to_field()
    return answer


async def head(exchange: Exchange) -> web.Response:
    """Tell how far an upload is; whoever was appending to it is cut off."""
    headers = exchange.request.headers
    if not headers.keys().isdisjoint({OFFSET, COMPLETE, LENGTH}):
        msg = f"{OFFSET}, {COMPLETE} and {LENGTH} are what this request asks for, so it must not have them"
        raise InvalidRequest(msg)
    standing = await exchange.parts.resumable.standing(exchange.tenant, _upload(exchange), caller=exchange.caller)
    answer = _answer(_MORE, standing.state)
    answer.headers[LENGTH] = str(standing.size)
    answer.headers[LIMIT] = _limits(exchange).to_field()
    return answer


async def append(exchange: Exchange) -> web.Response:
    """Add a part; 201 when it was the last one and the whole is verified and stored, else 204."""
    request = exchange.request
    check_content(request, content_type=CONTENT_TYPE)
    size = declared_size(request)
    part = Part(offset=read_integer(request.headers, OFFSET), size=size, complete=read_flag(request.headers, COMPLETE))
    if LENGTH in request.headers:
        part.check(read_integer(request.headers, LENGTH))
    standing = await _append(exchange, _upload(exchange), part)
    return _answer(_DONE if standing.state.complete else _MORE, standing.state)


async def cancel(exchange: Exchange) -> web.Response:
    """End an upload and remove its bytes."""
    await exchange.parts.resumable.cancel(
        exchange.tenant, _upload(exchange), caller=exchange.caller, anybody=await exchange.operates()
    )
    return no_content()


async def _append_first(exchange: Exchange, upload: UploadId, part: Part) -> Standing:
    """Append what came with the request that begins an upload; when that fails nobody learns its id."""
    try:
        return await _append(exchange, upload, part)
    except (StagingError, ConnectionError):
        await _give_up(exchange, upload)
        raise


async def _append(exchange: Exchange, upload: UploadId, part: Part) -> Standing:
    request, metrics, timeouts = exchange.request, exchange.state.metrics, exchange.parts.settings.timeouts
    with (
        metrics.uploads_in_flight.track_inprogress(),
        RequestBody(request, timeouts=timeouts, heard=metrics.uploaded) as body,
    ):
        return await exchange.parts.resumable.append(exchange.tenant, upload, part, body, caller=exchange.caller)


async def _give_up(exchange: Exchange, upload: UploadId) -> None:
    try:
        await exchange.parts.resumable.cancel(exchange.tenant, upload, caller=exchange.caller, anybody=False)
    except StagingError:
        # It has ended, or the sweep will end it.
        return


def _answer(status: int, state: UploadState) -> web.Response:
    return web.Response(status=status, headers={**state.to_fields(), hdrs.CACHE_CONTROL: "no-store"})


def _limits(exchange: Exchange) -> UploadLimits:
    settings = exchange.parts.settings
    return UploadLimits(
        max_size=settings.limits.file_size,
        max_append_size=settings.limits.file_size,
        max_age=int(settings.retention.upload_keep),
    )


def _digest(request: web.Request) -> Digest:
    digest = Digest.of_repr_digest(request.headers.get(DIGEST, ""))
    if digest is None:
        msg = f"{DIGEST} has to have the sha-256 of the whole, as in 'sha-256=:<base64>:'"
        raise InvalidRequest(msg)
    return digest


def _upload(exchange: Exchange) -> UploadId:
    try:
        return UploadId(exchange.request.match_info["upload"])
    except InvalidRequest as error:
        msg = "there is no such upload"
        raise NotFound(msg) from error
