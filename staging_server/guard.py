"""Lets a request through to its handler, or refuses it: is the server open, who asks, may they?

A refusal tells nothing about bundles: what somebody may not do is decided before anything is looked up, and a bundle
token or a pod opens its bundle or gets the answer that an unknown bundle gets.
"""

from typing import Final

from staging_protocol.errors import Denied, InvalidRequest, NotFound, Unavailable
from staging_protocol.tokens import Token
from staging_server.access_tokens import Verb
from staging_server.auth.base import ANONYMOUS, Access, BoundPod, Rule
from staging_server.connections.watched import WatchedConnection
from staging_server.exchange import NO_BUNDLE, Exchange
from staging_server.problems import NeedsCredentials
from staging_server.route import Route
from staging_server.tenants import Caller

_COME_BACK: Final = 5.0
"""Seconds until another replica, or this one after its restart, has taken over."""


async def admit(exchange: Exchange, route: Route) -> None:
    """Return when the request may go on; fills in who asks.

    Raises:
        Unavailable: the server is on its way out.
        Unauthenticated: the route needs credentials and none came, or they are not valid.
        Denied: the caller may not do this.
        NotFound, BundleExpired: the bundle token does not open the bundle, or it has ended.
    """
    check_open(exchange, route)
    authenticator = exchange.state.gate.authenticator
    headers = exchange.request.headers
    authenticator.check_origin(headers)
    if route.rule.anyone:
        return
    identity = await authenticator.identify(headers, address=exchange.caller.address)
    match identity:
        case None:
            msg = "this needs a token, sent as 'Authorization: Bearer <token>'"
            raise NeedsCredentials(msg, invalid=False, for_page=route.path == "/")
        case Token():
            await _admit_bundle_token(exchange, route.rule, identity)
        case _:
            exchange.access = identity
            exchange.caller = _named(exchange.caller, identity.name)
            await _admit_access(exchange, route.rule, identity)


def check_open(exchange: Exchange, route: Route) -> None:
    """Refuse what a server on its way out does not take any more, and what came beyond its limit of connections.

    Raises:
        Unavailable: it is, and does not.
    """
    connection = exchange.request.protocol
    if isinstance(connection, WatchedConnection) and connection.in_reserve:
        connection.close()  # after the answer
        if not route.probe:
            raise Unavailable("the server has as many connections as it can serve", retry_after=_COME_BACK)
    traffic = exchange.state.traffic
    if (traffic.closed and not route.probe) or (traffic.draining and route.begins_work):
        msg = "the server is shutting down"
        raise Unavailable(msg, retry_after=_COME_BACK)


async def _admit_bundle_token(exchange: Exchange, rule: Rule, token: Token) -> None:
    if not rule.bundle_token:
        msg = "a bundle token opens manifest, files and reports of its bundle, nothing else"
        raise Denied(msg)
    try:
        tenant = await exchange.find_tenant()
        await exchange.parts.bundles.open_with_token(tenant, exchange.bundle, token)
    except (NotFound, InvalidRequest) as error:
        raise NotFound(NO_BUNDLE) from error
    exchange.caller = _named(exchange.caller, f"bundle:{token.id}")


async def _admit_access(exchange: Exchange, rule: Rule, access: Access) -> None:
    if rule.bundle_token and access.pod is not None:
        await _admit_pod(exchange, rule, access, access.pod)
        return
    if await access.may(rule.verbs, namespace=exchange.namespace):
        return
    if not await access.may(rule.own, namespace=exchange.namespace):
        wanted = " or ".join(dict.fromkeys((*rule.verbs, *rule.own)))
        where = "all namespaces" if exchange.namespace is None else f"namespace {exchange.namespace[:63]!r}"
        msg = f"this needs the right to {wanted} in {where}"
        raise Denied(msg)
    await _admit_creator(exchange, access)


async def _admit_pod(exchange: Exchange, rule: Rule, access: Access, pod: BoundPod) -> None:
    """Let in a live pod of the bundle, else whoever has the right without being one."""
    if not await access.carries(exchange.bundle, namespace=exchange.namespace or ""):
        if not await access.may(rule.verbs, namespace=exchange.namespace):
            raise NotFound(NO_BUNDLE)
        return
    try:
        await exchange.parts.bundles.open_to_pod(await exchange.find_tenant(), exchange.bundle)
    except NotFound as error:
        raise NotFound(NO_BUNDLE) from error
    exchange.caller = _named(exchange.caller, f"pod:{pod.name}")


async def _admit_creator(exchange: Exchange, access: Access) -> None:
    try:
        bundle = await exchange.parts.bundles.get(await exchange.find_tenant(), exchange.bundle)
    except NotFound as error:
        raise NotFound(NO_BUNDLE) from error
    if bundle.created_by == access.name:
        return
    if await access.may((Verb.GET, Verb.LIST), namespace=exchange.namespace):
        msg = "this bundle was created by somebody else"
        raise Denied(msg)
    raise NotFound(NO_BUNDLE)


def _named(caller: Caller, name: str) -> Caller:
    return Caller(name=name, address=caller.address, request_id=caller.request_id)


def unknown_caller(address: str, *, request_id: str) -> Caller:
    """Return who asks before that is known."""
    return Caller(name=ANONYMOUS, address=address, request_id=request_id)
