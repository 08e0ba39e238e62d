"""Around every request: an id, one answer whatever happens, one log line, and metrics."""

import asyncio
import re
import secrets
from functools import partial
from http import HTTPMethod
from typing import Final

import structlog
from aiohttp import HttpVersion10, web
from aiohttp.typedefs import Handler as AiohttpHandler

from staging_protocol.errors import InternalError, InvalidRequest, StagingError
from staging_server.exchange import EXCHANGE, Exchange
from staging_server.guard import unknown_caller
from staging_server.problems import REQUEST_ID_HEADER, of_http_exception, problem_response
from staging_server.state import STATE

_log: Final = structlog.get_logger("http")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_METHODS: Final = frozenset(HTTPMethod)
_CLIENT_GONE: Final = 499
"""Status in logs and metrics when nobody was there for the answer (nginx's number)."""

_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})


@web.middleware
async def observe(request: web.Request, handler: AiohttpHandler) -> web.StreamResponse:
    """Own the whole way of a request."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    exchange = _exchange(request)
    request[EXCHANGE] = exchange
    quiet = exchange.route in _QUIET
    traffic = exchange.state.traffic
    traffic.in_flight += not quiet
    response: web.StreamResponse | None = None
    try:
        response = await _answer(exchange, handler)
    finally:
        # They hold each other, and would stay until a garbage collection, with all that belongs to the request.
        del request[EXCHANGE]
        traffic.in_flight -= not quiet
        _note(exchange, response, seconds=loop.time() - started, quiet=quiet)
    return response


def _exchange(request: web.Request) -> Exchange:
    identifier = request.headers.get(REQUEST_ID_HEADER)
    if identifier is None or not _REQUEST_ID.fullmatch(identifier):
        identifier = secrets.token_hex(8)
    resource = request.match_info.route.resource
    return Exchange(
        request=request,
        state=request.app[STATE],
        request_id=identifier,
        route="unknown" if resource is None else resource.canonical,
        caller=unknown_caller(request.remote or "", request_id=identifier),
    )


async def _answer(exchange: Exchange, handler: AiohttpHandler) -> web.StreamResponse:
    request = exchange.request
    try:
        _check_version(request)
        response = await handler(request)
        await exchange.send(response)
    except StagingError as failure:
        # Its traceback refers to this frame, which refers to it: without it both are freed at once.
        error = failure.with_traceback(None)
    except web.HTTPException as failure:
        error = of_http_exception(failure)
    except ConnectionError:
        raise
    except Exception as failure:  # noqa: BLE001 - the outermost loop of a request
        # Whatever it is, the client learns the id under which it is logged.  Tracebacks read source files: in a thread.
        tell = partial(_log.error, "unexpected error", request_id=exchange.request_id, route=exchange.route)
        await asyncio.get_running_loop().run_in_executor(None, partial(tell, exc_info=failure))
        error = InternalError("the server failed; its log has the request id")
    else:
        return response
    if request.writer.output_size > 0:
        # Half of another answer is on its way; only a broken connection says that it is not whole.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError(error.code)
    exchange.code = error.code
    exchange.state.metrics.refused(error.code)
    problem = problem_response(error, request_id=exchange.request_id)
    await exchange.send(problem)
    return problem


def _check_version(request: web.Request) -> None:
    if request.version < HttpVersion10:
        # aiohttp's parser takes HTTP/0.9, in which an answer has no status to tell anything by.
        msg = "this server speaks HTTP/1.1"
        raise InvalidRequest(msg)


def _note(exchange: Exchange, response: web.StreamResponse | None, *, seconds: float, quiet: bool) -> None:
    request = exchange.request
    status = _CLIENT_GONE if response is None else response.status
    method = request.method if request.method in _METHODS else "OTHER"
    exchange.state.metrics.request_ended(method, exchange.route, status, seconds=seconds)
    fields = request.match_info
    log = exchange.state.log
    (log.debug if quiet else log.info)(
        "request",
        method=method,
        route=exchange.route,
        status=status,
        bytes=getattr(response, "sent", None) or _size(response),
        duration_ms=round(seconds * 1000, 2),
        request_id=exchange.request_id,
        caller=exchange.caller.name,
        address=exchange.caller.address,
        **{name: fields[name][:80] for name in ("namespace", "bundle") if name in fields},
        **({"code": exchange.code} if exchange.code else {}),
    )


def _size(response: web.StreamResponse | None) -> int:
    body = getattr(response, "body", None)
    return len(body) if isinstance(body, bytes) else 0
