"""Bundles: made, read by pods, claimed, explained and deleted."""

import hashlib
import re
from functools import lru_cache
from typing import Final, TypeVar

import msgspec
from aiohttp import hdrs, web

from staging_protocol.api.bodies import ShortText
from staging_protocol.api.bundles import BundleState, Lease, Pin
from staging_protocol.api.creation import NewBundle
from staging_protocol.api.reports import Report
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.owners import OwnerReference, check_owner
from staging_protocol.wire import decode
from staging_server.answers import json_answer, json_bytes, no_content
from staging_server.bodies import read_json, read_struct
from staging_server.exchange import Exchange
from staging_server.sending.blob_response import BlobResponse
from staging_server.sending.preconditions import select

T = TypeVar("T")

_SMALL: Final = 16 * 1024
_KEPT: Final = 64
"""Bodies of a create that are kept as they were read: a job that is submitted again has the body it had before."""

_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


async def create(exchange: Exchange) -> web.Response:
    """Make a bundle and say which files are wanted."""
    tenant = exchange.tenant
    settings = exchange.parts.settings
    key = exchange.request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        msg = "an Idempotency-Key has 1 to 255 visible ASCII characters"
        raise InvalidRequest(msg)
    body = await read_json(
        exchange.request, limit=settings.limits.create_body_size, seconds=settings.timeouts.stall
    )  # fmt: skip
    created = await exchange.parts.creation.create(
        tenant,
        _read_small(body) if len(body) <= _SMALL else _read_new_bundle(body),
        caller=exchange.caller,
        idempotency_key=key,
        body_hash=hashlib.sha256(body).hexdigest(),
    )
    answer = json_answer(created, status=201)
    answer.headers[hdrs.LOCATION] = f"/v1/namespaces/{tenant.namespace}/bundles/{created.id}"
    return answer


def _read_new_bundle(body: bytes) -> NewBundle:
    return decode(body, into=NewBundle)


_read_small: Final = lru_cache(maxsize=_KEPT)(_read_new_bundle)


async def show(exchange: Exchange) -> web.Response:
    """Return the bundle as it stands."""
    return json_answer(await exchange.parts.bundles.get(exchange.tenant, exchange.bundle))


async def seal(exchange: Exchange) -> web.Response:
    """Close the bundle to further files."""
    return json_answer(await exchange.parts.bundles.seal(exchange.tenant, exchange.bundle, caller=exchange.caller))


async def manifest(exchange: Exchange) -> web.Response:
    """Return what the job needs."""
    bundles = exchange.parts.bundles
    body = await bundles.manifest_body(exchange.tenant, exchange.bundle)
    await bundles.touch(exchange.tenant, exchange.bundle, caller=exchange.caller, size=len(body))
    answer = json_bytes(body)
    # Names and digests of everything else are in it: pods check that it is what was sent (RFC 9530).
    answer.headers["Repr-Digest"] = Digest.of(body).repr_digest
    return answer


async def file(exchange: Exchange) -> web.StreamResponse:
    """Send a staged file, or a part of it."""
    tenant, bundle, request, parts = exchange.tenant, exchange.bundle, exchange.request, exchange.parts
    kind, name = _file_of(request)
    stored = await parts.bundles.find_file(tenant, bundle, kind=kind, name=name)
    selection = select(request.method, request.headers, etag=stored.digest.etag, size=stored.size)
    response = BlobResponse(
        digest=stored.digest, name=name, selection=selection, open_blob=lambda: parts.blobs.open(stored.key),
        owner=tenant,
    )  # fmt: skip
    try:
        await exchange.send(response)
    finally:
        exchange.state.metrics.downloaded(response.sent)
        await parts.bundles.touch(tenant, bundle, caller=exchange.caller, size=response.sent)
    return response


async def report(exchange: Exchange) -> web.Response:
    """Keep an init container's outcome."""
    body = await _small(exchange, Report)
    await exchange.parts.bundles.add_report(exchange.tenant, exchange.bundle, body, caller=exchange.caller)
    return no_content()


async def bind(exchange: Exchange) -> web.Response:
    """Name the Kubernetes object whose life keeps the bundle."""
    owner = check_owner(await _small(exchange, OwnerReference))
    bundles = exchange.parts.bundles
    return json_answer(await bundles.bind(exchange.tenant, exchange.bundle, owner, caller=exchange.caller))


async def lease(exchange: Exchange) -> web.Response:
    """Hold the bundle for some seconds from now."""
    body = await _small(exchange, Lease)
    bundles = exchange.parts.bundles
    return json_answer(await bundles.lease(exchange.tenant, exchange.bundle, body, caller=exchange.caller))


async def pin(exchange: Exchange) -> web.Response:
    """Hold the bundle with a reason."""
    body = await _small(exchange, Pin)
    bundles = exchange.parts.bundles
    return json_answer(await bundles.pin(exchange.tenant, exchange.bundle, body, caller=exchange.caller))


async def unpin(exchange: Exchange) -> web.Response:
    """Take the pin away."""
    return json_answer(await exchange.parts.bundles.unpin(exchange.tenant, exchange.bundle, caller=exchange.caller))


async def new_token(exchange: Exchange) -> web.Response:
    """Make a new bundle token."""
    bundles = exchange.parts.bundles
    return json_answer(await bundles.new_token(exchange.tenant, exchange.bundle, caller=exchange.caller))


async def delete(exchange: Exchange) -> web.Response:
    """End the bundle now."""
    await exchange.parts.bundles.delete(exchange.tenant, exchange.bundle, caller=exchange.caller)
    return no_content()


async def explain(exchange: Exchange) -> web.Response:
    """Return every claim that keeps the bundle, in words."""
    return json_answer(await exchange.parts.overview.explain(exchange.tenant, exchange.bundle))


async def list_of_namespace(exchange: Exchange) -> web.Response:
    """Return one page of the namespace's bundles."""
    return await _page(exchange, everything=False)


async def list_of_all(exchange: Exchange) -> web.Response:
    """Return one page of all bundles."""
    return await _page(exchange, everything=True)


async def _page(exchange: Exchange, *, everything: bool) -> web.Response:
    query = exchange.request.query
    page = await exchange.parts.overview.list(
        None if everything else exchange.tenant,
        cursor=query.get("cursor"),
        limit=_limit(query.get("limit"), most=exchange.parts.settings.limits.page_size),
        application=_application(query.get("application")),
        state=_state(query.get("state")),
    )
    return json_answer(page)


def _limit(text: str | None, *, most: int) -> int:
    if text is None:
        return min(100, most)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):  # noqa: PLR2004 - a sane number
        msg = f"limit is a number from 1 to {most}"
        raise InvalidRequest(msg)
    return min(int(text), most)


def _application(text: str | None) -> str | None:
    try:
        return msgspec.convert(text, ShortText | None)
    except msgspec.ValidationError as error:
        msg = f"no application is called that: {error}"
        raise InvalidRequest(msg) from error


def _state(text: str | None) -> BundleState | None:
    try:
        return None if text is None else BundleState(text)
    except ValueError as error:
        msg = f"state is one of {', '.join(BundleState)}"
        raise InvalidRequest(msg) from error


def _file_of(request: web.Request) -> tuple[Kind, FileName]:
    try:
        return Kind(request.match_info["kind"]), FileName(request.match_info["name"])
    except (ValueError, InvalidRequest) as error:
        msg = "the bundle has no such file; files are <kind>/<name>"
        raise NotFound(msg) from error


async def _small(exchange: Exchange, into: type[T]) -> T:
    settings = exchange.parts.settings
    return await read_struct(
        exchange.request, into=into, limit=settings.limits.body_size, seconds=settings.timeouts.stall
    )  # fmt: skip
