"""Every route, as everybody who has something, but not the right thing.  The table of routes makes the requests."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from staging_protocol.tokens import BundleId, Token
from staging_server.access_tokens import Verb
from staging_server.route import Route
from staging_server.routes import routes_table
from tests.hostile.asking import BODIES, ask, begin_upload, is_refusal, path_of
from tests.hostile.remains import holdings
from tests.staging_server.live import (
    Answer,
    Live,
    access_token,
    bundle_token,
    live_server,
)

_GUARDED: Final = tuple(route for route in routes_table() if not route.rule.anyone)
_OF_BUNDLES: Final = tuple(route for route in _GUARDED if "{bundle}" in route.path)
_FOR_TOKENS: Final = tuple(route for route in _GUARDED if route.rule.bundle_token)
_OF_TENANTS: Final = tuple(route for route in _GUARDED if "{namespace}" in route.path)

module_loop = pytest.mark.asyncio(loop_scope="module")
each_route = pytest.mark.parametrize("route", _GUARDED, ids=lambda route: route.name)


@dataclass(frozen=True, kw_only=True)
class Town:
    """Two tenants: `red` has a bundle, a blob and an upload that is under way; `blue` has every right at home."""

    live: Live
    red: str
    blue: str
    bundle: str
    token: str
    other_token: str
    ended: str
    ended_token: str
    upload: str

    def path(self, route: Route, *, namespace: str = "red", bundle: str | None = None) -> str:
        """Return the path of a route to what `red` has."""
        return path_of(route, namespace=namespace, bundle=bundle or self.bundle, upload=self.upload)

    async def ask(self, route: Route, *, path: str | None = None, **headers: str) -> Answer:
        """Send a request with which nothing but the identity is wrong."""
        return await ask(self.live, route, path or self.path(route), **headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    tokens = folder / "tokens.json"
    red = access_token(tokens, verbs=tuple(Verb), namespaces=("red",))
    blue = access_token(tokens, verbs=tuple(Verb), namespaces=("blue",))
    auth = {"mode": "tokens", "tokens_file": tokens}
    async with live_server(folder, token=red.text, auth=auth) as live:
        made = await live.staged(b"content", namespace="red")
        other = await live.staged(b"content", name="b.jar", namespace="red")
        ended = await live.staged(b"content", name="c.jar", namespace="red")
        assert (await live.call("DELETE", f"/v1/namespaces/red/bundles/{ended['id']}")).status == 204
        upload = await begin_upload(live, namespace="red")
        yield Town(
            live=live, red=red.text, blue=blue.text, bundle=made["id"], token=made["token"],
            other_token=other["token"], ended=ended["id"], ended_token=ended["token"], upload=upload,
        )  # fmt: skip


def test_every_route_that_takes_json_has_a_body_here() -> None:
    wanting = {route.name for route in _GUARDED if route.request is not None and not isinstance(route.request, str)}
    assert wanting == BODIES.keys()


@module_loop
@pytest.mark.parametrize("route", _OF_TENANTS, ids=lambda route: route.name)
async def test_all_rights_of_another_namespace_open_nothing(town: Town, route: Route) -> None:
    before = await holdings(town.live)
    answer = await town.ask(route, Authorization=f"Bearer {town.blue}")
    assert is_refusal(answer, route, 403, "denied"), answer
    assert await holdings(town.live) == before


_FINDS_NOTHING: Final = {
    "createBundle": 201, "listBundlesOfNamespace": 200,  # of its own namespace
    "putBlob": 409, "putBlobs": 409, "createUpload": 409,  # nobody there wants the blob, though the server has it
}  # fmt: skip


@module_loop
@pytest.mark.parametrize("route", _OF_TENANTS, ids=lambda route: route.name)
async def test_what_another_tenant_has_is_unknown_at_home(town: Town, route: Route) -> None:
    """`blue` may do everything in `blue`, and names what `red` has."""
    answer = await town.ask(route, path=town.path(route, namespace="blue"), Authorization=f"Bearer {town.blue}")
    wanted = _FINDS_NOTHING.get(route.name, 404)
    assert answer.status == wanted, (route.name, answer)
    if "{bundle}" in route.path:
        unknown = str(BundleId.generate())
        other = await town.ask(
            route, path=town.path(route, namespace="blue", bundle=unknown), Authorization=f"Bearer {town.blue}"
        )
        assert _plain(answer, hide=town.bundle) == _plain(other, hide=unknown)


def _plain(answer: Answer, *, hide: str) -> bytes:
    """Return the body without what differs between any two requests."""
    return re.sub(rb'"request_id":"[^"]*"', b"", answer.body.replace(hide.encode(), b"<id>"))


def _wrong_tokens(town: Town) -> dict[str, str]:
    good = town.token
    return {
        "of another bundle": town.other_token,
        "of nobody": bundle_token(town.bundle).text,
        "ended": town.ended_token,
        "cut at the end": good[:-1],
        "cut at the begin": good[1:],
        "cut to its id": good[:30],
        "one letter changed": good[:40] + ("a" if good[40] != "a" else "b") + good[41:],
        "upper case": good.upper(),
        "with more": good + "0",
        "twice": good + good,
        "as an access token": good.replace("sst_", "ssa_"),
        "with the id of another": Token.parse(good).text.replace(town.bundle, town.ended),
        "its hash": Token.parse(good).hash,
    }


@module_loop
@each_route
async def test_no_wrong_token_opens_a_route(town: Town, route: Route) -> None:
    known = {"of another bundle", "of nobody", "ended"}
    for name, token in _wrong_tokens(town).items():
        answer = await town.ask(route, Authorization=f"Bearer {token}")
        if name not in known:
            wanted = (401, "unauthenticated")
        elif route.rule.bundle_token:
            wanted = (404, "not-found")
        else:
            wanted = (403, "denied")
        assert is_refusal(answer, route, *wanted), (name, answer)
        assert token not in answer.body.decode()


@module_loop
@each_route
async def test_a_token_counts_in_its_header_only(town: Town, route: Route) -> None:
    for token in (town.red, town.token):
        path = town.path(route)
        for query in (f"?access_token={token}", f"?token={token}", f"?authorization=Bearer%20{token}"):
            assert is_refusal(await town.ask(route, path=path + query), route, 401, "unauthenticated"), query
        for field in ("Cookie", "X-Auth-Token", "X-Access-Token", "Proxy-Authorization", "X-Forwarded-Authorization"):
            answer = await town.ask(route, **{field: f"Bearer {token}"})
            assert is_refusal(answer, route, 401, "unauthenticated"), field
    assert town.token not in town.live.logs()
    assert town.red not in town.live.logs()


@module_loop
@pytest.mark.parametrize("route", _OF_BUNDLES, ids=lambda route: route.name)
async def test_the_token_of_an_ended_bundle_opens_nothing_any_more(town: Town, route: Route) -> None:
    answer = await town.ask(
        route, path=town.path(route, bundle=town.ended), Authorization=f"Bearer {town.ended_token}"
    )  # fmt: skip
    wanted = (410, "bundle-expired") if route.rule.bundle_token else (403, "denied")
    assert is_refusal(answer, route, *wanted), answer


@module_loop
@pytest.mark.parametrize("route", _FOR_TOKENS, ids=lambda route: route.name)
async def test_the_right_token_opens_its_own_namespace_only(town: Town, route: Route) -> None:
    right = await town.ask(route, Authorization=f"Bearer {town.token}")
    assert right.status in {200, 204}, right
    path = town.path(route, namespace="blue")
    assert is_refusal(await town.ask(route, path=path, Authorization=f"Bearer {town.token}"), route, 404, "not-found")
