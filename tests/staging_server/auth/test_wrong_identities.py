"""Every route as every wrong identity of a cluster, with a real API server that says who is who.

The table of routes makes the requests, so a new route is asked, too.  The server has the rights of `deploy/`, no more.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_server.auth.base import BoundPod
from staging_server.route import Route
from staging_server.routes import routes_table
from tests.hostile.asking import ask, begin_upload, is_refusal, path_of
from tests.hostile.remains import holdings
from tests.staging_server.auth.cluster import Cluster
from tests.staging_server.auth.crafted import ISSUER, jwt
from tests.staging_server.live import Answer, Live, live_server

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_GUARDED: Final = tuple(route for route in routes_table() if not route.rule.anyone)

UNAUTHENTICATED: Final = (401, "unauthenticated")
DENIED: Final = (403, "denied")
NOT_FOUND: Final = (404, "not-found")
EXPIRED: Final = (410, "bundle-expired")


@dataclass(frozen=True, kw_only=True)
class Town:
    """Two namespaces.  In `red` somebody has a bundle, another one, one that has ended, and an upload under way."""

    cluster: Cluster
    live: Live
    red: str
    blue: str
    bundle: str
    other: str
    ended: str
    upload: str
    tokens: dict[str, str]
    """The token of each bundle."""

    async def ask(self, route: Route, token: str, *, bundle: str | None = None) -> Answer:
        path = path_of(route, namespace=self.red, bundle=bundle or self.bundle, upload=self.upload)
        return await ask(self.live, route, path, Authorization=f"Bearer {token}" if token else "")

    async def pod(self, name: str, *, namespace: str | None = None, bundle: str | None = None) -> BoundPod:
        return await asyncio.to_thread(self.cluster.pod, namespace or self.red, name, bundle=bundle)

    async def token(self, pod: BoundPod) -> str:
        return await asyncio.to_thread(self.cluster.token, pod.namespace, "default", pod=pod)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with cluster.kube.namespace() as red, cluster.kube.namespace() as blue:
        for namespace in (red, blue):
            cluster.account(namespace, "default")
        cluster.account(red, "submitter", role="spark-staging-submitter")
        async with live_server(folder, token=cluster.token(red, "submitter"), **cluster.server_settings()) as live:
            yield await _settled(cluster, live, red=red, blue=blue)


async def _settled(cluster: Cluster, live: Live, *, red: str, blue: str) -> Town:
    made = await live.staged(b"content", namespace=red)
    other = await live.staged(b"content", name="b.jar", namespace=red)
    ended = await live.staged(b"content", name="c.jar", namespace=red)
    assert (await live.call("DELETE", f"/v1/namespaces/{red}/bundles/{ended['id']}")).status == 204
    upload = await begin_upload(live, namespace=red)
    return Town(
        cluster=cluster, live=live, red=red, blue=blue, bundle=made["id"], other=other["id"], ended=ended["id"],
        upload=upload, tokens={one["id"]: one["token"] for one in (made, other, ended)},
    )  # fmt: skip


async def _all_refuse(town: Town, token: str, *, reading: tuple[int, str], else_: tuple[int, str]) -> None:
    """See that every route refuses, those that pods read by with `reading`, and that nothing changed."""
    before = await holdings(town.live)
    for route in _GUARDED:
        answer = await town.ask(route, token)
        wanted = reading if route.rule.bundle_token else else_
        assert is_refusal(answer, route, *wanted), (route.name, answer)
        assert ("WWW-Authenticate" in answer.headers) is (wanted == UNAUTHENTICATED), route.name
        assert not token or token not in answer.body.decode()
    assert await holdings(town.live) == before
    assert not token or token not in town.live.logs()


async def test_nobody(town: Town) -> None:
    await _all_refuse(town, "", reading=UNAUTHENTICATED, else_=UNAUTHENTICATED)


@pytest.mark.parametrize(
    "token",
    [
        "garbage", "a.b.c", "x" * 8000, jwt(iss="https://elsewhere"), jwt(exp=1), jwt(nbf=3_999_999_999),
        jwt(aud="other"), jwt(aud=ISSUER), jwt(), jwt(sub="system:serviceaccount:kube-system:default"),
        jwt(header={"alg": "none"}), "ssa_" + "a" * 26 + "_" + "0" * 43 + "_000000",
    ],
    ids=[
        "garbage", "three letters", "long", "another issuer", "expired", "not yet", "another audience",
        "the API server", "a signature that is none", "somebody mighty", "without algorithm", "an access token",
    ],
)  # fmt: skip
async def test_what_is_no_token_of_the_cluster(town: Town, token: str) -> None:
    await _all_refuse(town, token, reading=UNAUTHENTICATED, else_=UNAUTHENTICATED)


async def test_a_real_token_that_was_changed_or_is_for_others(town: Town) -> None:
    account = (town.red, "submitter")
    good = await asyncio.to_thread(town.cluster.token, *account)
    other = await asyncio.to_thread(town.cluster.token, *account, audiences=("other",))
    of_api = await asyncio.to_thread(town.cluster.token, *account, audiences=())
    head, body, signature = good.split(".")
    flipped = ("A" if signature[5] != "A" else "B").join((signature[:5], signature[6:]))
    stolen = f"{head}.{body}.{other.split('.')[2]}"
    for token in (f"{head}.{body}.{flipped}", stolen, f"{head}.{body}.", good[:-4], other, of_api):
        await _all_refuse(town, token, reading=UNAUTHENTICATED, else_=UNAUTHENTICATED)


async def test_an_account_without_rights(town: Town) -> None:
    token = await asyncio.to_thread(town.cluster.token, town.red, "default")
    await _all_refuse(town, token, reading=DENIED, else_=DENIED)


async def test_all_rights_in_another_namespace(town: Town) -> None:
    for role in ("submitter", "reader", "operator"):
        await asyncio.to_thread(town.cluster.account, town.blue, role, role=f"spark-staging-{role}")
        token = await asyncio.to_thread(town.cluster.token, town.blue, role)
        await _all_refuse(town, token, reading=DENIED, else_=DENIED)


async def test_an_account_that_is_gone(town: Town) -> None:
    name = await asyncio.to_thread(town.cluster.account, town.red, "leaver", role="spark-staging-submitter")
    token = await asyncio.to_thread(town.cluster.token, town.red, name)
    await asyncio.to_thread(town.cluster.kube.core.delete_namespaced_service_account, name, town.red)
    await _all_refuse(town, token, reading=UNAUTHENTICATED, else_=UNAUTHENTICATED)


async def test_a_pod_of_another_namespace(town: Town) -> None:
    pod = await town.pod("elsewhere", namespace=town.blue, bundle=town.bundle)
    await _all_refuse(town, await town.token(pod), reading=NOT_FOUND, else_=DENIED)


async def test_a_pod_without_a_label(town: Town) -> None:
    await _all_refuse(town, await town.token(await town.pod("plain")), reading=NOT_FOUND, else_=DENIED)


async def test_a_pod_of_another_bundle(town: Town) -> None:
    pod = await town.pod("another", bundle=town.other)
    await _all_refuse(town, await town.token(pod), reading=NOT_FOUND, else_=DENIED)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_pod_that_has_finished(town: Town, phase: str) -> None:
    pod = await town.pod(f"was-{phase.lower()}", bundle=town.bundle)
    token = await town.token(pod)
    await asyncio.to_thread(town.cluster.finish, pod, phase=phase)
    await _all_refuse(town, token, reading=NOT_FOUND, else_=DENIED)


async def test_a_pod_that_is_gone(town: Town) -> None:
    pod = await town.pod("gone", bundle=town.bundle)
    token = await town.token(pod)
    await asyncio.to_thread(town.cluster.delete, pod)
    await _all_refuse(town, token, reading=UNAUTHENTICATED, else_=UNAUTHENTICATED)


async def test_a_bundle_token_of_another_bundle_of_one_that_has_ended_and_one_that_is_forged(town: Town) -> None:
    """Where Kubernetes says who is who, bundle tokens count as well."""
    await _all_refuse(town, town.tokens[town.other], reading=NOT_FOUND, else_=DENIED)
    await _all_refuse(town, town.tokens[town.ended], reading=NOT_FOUND, else_=DENIED)
    mine = town.tokens[town.bundle]
    forged = Token.generate(TokenKind.BUNDLE, identifier=BundleId(town.bundle)).text
    await _all_refuse(town, forged, reading=NOT_FOUND, else_=DENIED)
    await _all_refuse(town, mine[:-1], reading=UNAUTHENTICATED, else_=UNAUTHENTICATED)


async def test_a_pod_that_was_made_again_under_its_name(town: Town) -> None:
    pod = await town.pod("again", bundle=town.bundle)
    token = await town.token(pod)
    await asyncio.to_thread(town.cluster.delete, pod)
    await town.pod("again", bundle=town.bundle)
    await _all_refuse(town, token, reading=UNAUTHENTICATED, else_=UNAUTHENTICATED)


async def test_a_pod_of_the_bundle_does_what_a_bundle_token_does_and_nothing_else(town: Town) -> None:
    token = await town.token(await town.pod("right", bundle=town.bundle))
    for route in _GUARDED:
        answer = await town.ask(route, token)
        if route.rule.bundle_token:
            assert answer.status == route.status, (route.name, answer)
        else:
            assert is_refusal(answer, route, *DENIED), (route.name, answer)


async def test_only_a_pod_with_its_label_learns_that_a_bundle_has_ended(town: Town) -> None:
    labelled = await town.token(await town.pod("late", bundle=town.ended))
    plain = await town.token(await town.pod("curious"))
    for route in (one for one in _GUARDED if one.rule.bundle_token):
        assert is_refusal(await town.ask(route, labelled, bundle=town.ended), route, *EXPIRED), route.name
        assert is_refusal(await town.ask(route, plain, bundle=town.ended), route, *NOT_FOUND), route.name


async def test_a_wrong_pod_cannot_tell_a_bundle_from_none(town: Town) -> None:
    token = await town.token(await town.pod("blind"))
    for route in (one for one in _GUARDED if one.rule.bundle_token and one.method != "HEAD"):
        there, missing, ended = [
            await town.ask(route, token, bundle=one) for one in (town.bundle, "a" * 26, town.ended)
        ]
        assert _without_id(there) == _without_id(missing) == _without_id(ended)


def _without_id(answer: Answer) -> object:
    fields = {name: value for name, value in answer.headers.items() if name not in {"X-Request-ID", "Date"}}
    return answer.status, fields, {**answer.json, "request_id": ""}
