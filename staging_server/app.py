"""The application: the table of routes, the one middleware around them, and what both need."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler as AiohttpHandler

from staging_protocol.api.info import PodEndpoint
from staging_protocol.errors import NotFound, PermanentError, StagingError
from staging_server.audit import Audit
from staging_server.auth.opening import Gate
from staging_server.bodies import defer_continue
from staging_server.exchange import EXCHANGE, Exchange
from staging_server.guard import admit
from staging_server.metrics.registry import Metrics
from staging_server.middlewares import observe
from staging_server.openapi import describe
from staging_server.parts import ServerParts
from staging_server.problems import WrongMethod
from staging_server.route import Route
from staging_server.routes import routes_table
from staging_server.state import STATE, AppState
from staging_server.version import VERSION

_log: Final = structlog.get_logger("http")


def make_app(parts: ServerParts, *, gate: Gate, metrics: Metrics, pods: PodEndpoint) -> web.Application:
    """Return the application on open `parts`."""
    audit = Audit(metadata=parts.metadata)
    app = web.Application(middlewares=[observe])
    routes = routes_table()
    app[STATE] = AppState(
        parts=parts, gate=gate, metrics=metrics, pods=pods, version=VERSION, description=_description(),
    )  # fmt: skip
    for route in routes:
        app.router.add_route(route.method, route.path, _endpoint(route, audit), expect_handler=defer_continue)
    # aiohttp would send 100 Continue to a request that no route takes.
    app.router.add_route(hdrs.METH_ANY, _ANYTHING, _unknown(app), expect_handler=defer_continue)
    return app


@cache
def _description() -> Mapping[str, Any]:
    return describe(routes_table(), version=VERSION)


_ANYTHING: Final = "/{path:.*}"


def _endpoint(route: Route, audit: Audit) -> AiohttpHandler:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        try:
            await admit(exchange, route)
        except PermanentError as error:
            await _note_refusal(audit, exchange, route, error)
            raise
        if exchange.namespace is not None:
            await exchange.find_tenant()
        return await route.handler(exchange)

    return endpoint


async def _note_refusal(audit: Audit, exchange: Exchange, route: Route, error: PermanentError) -> None:
    path = exchange.request.match_info
    try:
        await audit.refused(
            route.name, caller=exchange.caller, code=error.code, namespace=path.get("namespace"),
            subject=path.get("bundle") or path.get("upload"),
        )  # fmt: skip
    except StagingError as failure:
        # The refusal itself must not depend on the database.
        _log.warning("refusal not audited", code=failure.code, request_id=exchange.request_id)


def _unknown(app: web.Application) -> AiohttpHandler:
    """Return the handler of everything that no route takes: 405 when another method would do, else 404."""

    async def unknown(request: web.Request) -> web.StreamResponse:
        app[STATE].gate.authenticator.check_origin(request.headers)
        allowed = await _allowed_methods(app, request)
        if allowed:
            raise WrongMethod(request.method, allowed=frozenset(allowed))
        msg = "there is no such route"
        raise NotFound(msg)

    return unknown


async def _allowed_methods(app: web.Application, request: web.Request) -> set[str]:
    allowed: set[str] = set()
    for resource in app.router.resources():
        if resource.canonical != _ANYTHING_CANONICAL:
            _, methods = await resource.resolve(request)
            allowed |= methods
    return allowed


_ANYTHING_CANONICAL: Final = "/{path}"
