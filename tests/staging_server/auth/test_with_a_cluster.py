"""A server with the identity of a real API server: the good ways in, and what happens around them."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import trustme
import yaml
from pydantic import ValidationError
from sqlalchemy import select

from staging_server.access_tokens import Verb
from staging_server.auth.base import BoundPod
from staging_server.metadata.tables import audit
from staging_server.route import Route
from staging_server.routes import routes_table
from staging_server.settings import Settings
from tests.hostile.asking import ask, is_refusal, path_of
from tests.staging_server.auth.cluster import KUSTOMIZE, SERVER, Cluster
from tests.staging_server.auth.crafted import ISSUER, jwt
from tests.staging_server.certificates import MountedPair, trusting
from tests.staging_server.live import Live, access_token, bundle_token, eventually, live_server
from tests.staging_server.served import file_of, served, wait_until

pytestmark = pytest.mark.services

_GUARDED: Final = tuple(route for route in routes_table() if not route.rule.anyone)


@dataclass(frozen=True, kw_only=True)
class Team:
    """A server, and a namespace whose submitter asks it."""

    cluster: Cluster
    live: Live
    namespace: str

    async def pod(self, name: str, *, bundle: str) -> BoundPod:
        return await asyncio.to_thread(self.cluster.pod, self.namespace, name, bundle=bundle)

    async def token(self, pod: BoundPod) -> str:
        return await asyncio.to_thread(self.cluster.token, self.namespace, "default", pod=pod)

    async def read(self, made: Any, token: str) -> bytes:
        """Read the bundle's manifest and its file as a pod does; return the bytes of the file."""
        base = f"/v1/namespaces/{self.namespace}/bundles/{made['id']}"
        manifest = await self.live.call("GET", f"{base}/manifest", token=token)
        assert manifest.status == 200, manifest
        answer = await self.live.call("GET", f"{base}/files/jar/a.jar", token=token)
        assert answer.status == 200, answer
        return answer.body

    async def audited(self) -> list[tuple[str, str, str]]:
        """Return action, caller and result of all rows."""
        await self.live.server.state.parts.bundles.activity.flush()
        rows = await self.live.server.state.parts.metadata.read(
            lambda connection, _: connection.execute(select(audit).order_by(audit.c.number)).mappings().all(), None
        )
        return [(row["action"], row["caller"], row["result"]) for row in rows]


@asynccontextmanager
async def _team(cluster: Cluster, folder: Path, **settings: Any) -> AsyncIterator[Team]:
    with cluster.kube.namespace() as namespace:
        cluster.account(namespace, "default")
        cluster.account(namespace, "submitter", role="spark-staging-submitter")
        token = cluster.token(namespace, "submitter")
        async with live_server(folder, token=token, **{**cluster.server_settings(), **settings}) as live:
            yield Team(cluster=cluster, live=live, namespace=namespace)


async def test_a_job_goes_its_whole_way_with_tokens_of_the_cluster_only(cluster: Cluster, tmp_path: Path) -> None:
    async with _team(cluster, tmp_path) as team:
        made = await team.live.staged(b"content", namespace=team.namespace)
        token = await team.token(await team.pod("driver", bundle=made["id"]))
        assert await team.read(made, token) == b"content"
        base = f"/v1/namespaces/{team.namespace}/bundles/{made['id']}"
        report = {"outcome": "succeeded", "role": "driver", "pod": "driver", "exit_code": 0, "seconds": 1}
        assert (await team.live.call("POST", f"{base}/reports", body=report, token=token)).status == 204
        explained = (await team.live.call("GET", f"{base}/explain")).json
        assert [one["report"]["pod"] for one in explained["reports"]] == ["driver"]
        submitter = f"user:system:serviceaccount:{team.namespace}:submitter"
        rows = await team.audited()
        assert {caller for _, caller, _ in rows} == {submitter, "pod:driver"}
        assert {result for _, _, result in rows} == {"done"}


async def test_a_bundle_token_opens_its_bundle_for_those_whom_the_cluster_does_not_know(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with _team(cluster, tmp_path) as team:
        made = await team.live.staged(b"content", namespace=team.namespace)
        other = await team.live.staged(b"content", name="b.jar", namespace=team.namespace)
        assert await team.read(made, made["token"]) == b"content"
        path = f"/v1/namespaces/{team.namespace}/bundles/{other['id']}/manifest"
        assert (await team.live.call("GET", path, token=made["token"])).status == 404
        nowhere = path.replace(team.namespace, "no-such-namespace")
        assert (await team.live.call("GET", nowhere, token=other["token"])).status == 404


async def test_executors_start_while_the_kubelet_replaces_their_tokens(cluster: Cluster, tmp_path: Path) -> None:
    """Each reads with its first token, then with both in turn: the first is good until its own end."""
    async with _team(cluster, tmp_path) as team:
        made = await team.live.staged(b"content", namespace=team.namespace)

        async def executor(number: int) -> None:
            pod = await team.pod(f"executor-{number}", bundle=made["id"])
            first = await team.token(pod)
            assert await team.read(made, first) == b"content"
            second = await team.token(pod)
            assert second != first
            for token in (first, second, first, second):
                assert await team.read(made, token) == b"content"

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(executor(number))


async def test_executors_start_while_the_bundle_token_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    async with _team(cluster, tmp_path) as team:
        made = await team.live.staged(b"content", namespace=team.namespace)
        tokens, over = [made["token"]], asyncio.Event()

        async def executor() -> int:
            reads = 0
            while not (over.is_set() and reads):
                # One that started before the change has the first, one that starts after it the second.
                assert await team.read(made, tokens[reads % len(tokens)]) == b"content"
                reads += 1
            return reads

        async with asyncio.TaskGroup() as tasks:
            executors = [tasks.create_task(executor()) for _ in range(20)]
            path = f"/v1/namespaces/{team.namespace}/bundles/{made['id']}/token"
            renewed = await team.live.call("POST", path)
            assert renewed.status == 200
            tokens.append(renewed.json["token"])
            for token in tokens:
                assert await team.read(made, token) == b"content"
            over.set()
        assert all(task.result() for task in executors)


_WATCH_ONLY: Final = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: spark-staging-test-watch-only}
rules:
  - {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [pods], verbs: [list, watch]}
"""


async def test_pods_come_in_by_the_watch_without_a_question_for_each(cluster: Cluster, tmp_path: Path) -> None:
    """The server may not even ask for a single pod."""
    account = (cluster.home, cluster.account(cluster.home, "watching"))
    with cluster.applied(_WATCH_ONLY, namespace=cluster.home):
        for role in ("spark-staging-server-identity", "spark-staging-test-watch-only"):
            cluster.bind(role, to=account, namespace=None)
        async with _team(cluster, tmp_path, **cluster.server_settings("watching")) as team:
            made = await team.live.staged(b"content", namespace=team.namespace)
            pod = await team.pod("driver", bundle=made["id"])
            token = await team.token(pod)
            path = f"/v1/namespaces/{team.namespace}/bundles/{made['id']}/manifest"

            async def answers(status: int) -> bool:
                return (await team.live.call("GET", path, token=token)).status == status

            await eventually(lambda: answers(200))
            await asyncio.to_thread(cluster.finish, pod)
            await eventually(lambda: answers(404))


async def test_what_the_server_says_of_itself(cluster: Cluster, tmp_path: Path) -> None:
    async with live_server(tmp_path, **cluster.server_settings(audience="staging.example.com")) as live:
        info = (await live.call("GET", "/v1/info")).json
        assert (info["auth_mode"], info["token_audience"]) == ("kubernetes", "staging.example.com")
        assert "api_server_tokens" not in info, "it is left out when it is false"


async def test_another_audience_is_asked_for_where_it_is_set(cluster: Cluster, tmp_path: Path) -> None:
    async with _team(cluster, tmp_path, **cluster.server_settings(audience="staging.example.com")) as team:
        path = f"/v1/namespaces/{team.namespace}/bundles"
        assert (await team.live.call("GET", path)).status == 401
        audiences = ("staging.example.com",)
        token = await asyncio.to_thread(cluster.token, team.namespace, "submitter", audiences=audiences)
        assert (await team.live.call("GET", path, token=token)).status == 200


# --- refusals


async def test_refusals_are_audited_with_the_name_that_kubernetes_says(cluster: Cluster, tmp_path: Path) -> None:
    async with _team(cluster, tmp_path) as team:
        stranger = await asyncio.to_thread(cluster.token, team.namespace, "default")
        assert (await team.live.call("GET", "/v1/usage", token=stranger)).status == 403
        for number in range(40):
            assert (await team.live.call("GET", "/v1/usage", token=f"garbage-{number}")).status == 401
        rows = await team.audited()
        account = f"user:system:serviceaccount:{team.namespace}:default"
        assert rows[0] == ("getUsage", account, "denied")
        assert rows[1:] == [("getUsage", "anonymous", "unauthenticated")] * 19, "of one address in one minute"


async def test_who_forges_tokens_is_slowed_down_and_a_known_caller_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    settings = cluster.server_settings(refusals_per_second=1)
    async with _team(cluster, tmp_path, **settings) as team:
        path = f"/v1/namespaces/{team.namespace}/bundles"
        assert (await team.live.call("GET", path)).status == 200
        answers = [await team.live.call("GET", path, token=jwt(jti=str(number))) for number in range(40)]
        slowed = [answer for answer in answers if answer.status == 429]
        assert {answer.status for answer in answers} == {401, 429}
        assert len(slowed) > 20
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in slowed)
        assert all(answer.json["code"] == "too-many-requests" for answer in slowed)
        assert (await team.live.call("GET", path)).status == 200


# --- when Kubernetes does not answer


async def _all_unavailable(live: Live, token: str, *, routes: Iterable[Route] = _GUARDED) -> None:
    for route in routes:
        path = path_of(route, namespace="team-a", bundle="a" * 26, upload="u" * 26)
        answer = await ask(live, route, path, Authorization=f"Bearer {token}")
        assert is_refusal(answer, route, 503, "unavailable"), (route.name, answer)
        assert route.method == "HEAD" or answer.json["retryable"]
        assert not re.search(rb"127\.0\.0\.1|system:|/api", answer.body), (
            "strangers do not learn where the API server is"
        )


async def test_where_the_api_server_cannot_be_reached_nobody_is_let_in(cluster: Cluster, tmp_path: Path) -> None:
    settings = cluster.server_settings()
    content = yaml.safe_load(settings["kubernetes"]["kubeconfig"].read_text())
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    settings["kubernetes"] = {**settings["kubernetes"], "kubeconfig": kubeconfig}
    async with live_server(tmp_path, **settings) as live:
        await _all_unavailable(live, jwt())
        for_tokens = [route for route in _GUARDED if route.rule.bundle_token]
        await _all_unavailable(live, bundle_token("a" * 26).text, routes=for_tokens)
        assert (await live.call("GET", "/livez")).status == 200
        assert (await live.call("GET", "/v1/usage", token="garbage")).status == 401


async def test_a_server_without_its_rights_lets_nobody_in_and_says_what_is_missing(
    cluster: Cluster, tmp_path: Path
) -> None:
    account = cluster.account(cluster.home, "without-rights")
    token = cluster.token(cluster.home, account)
    async with live_server(tmp_path, **cluster.server_settings(account)) as live:
        await _all_unavailable(live, token)
        assert 'cannot create resource \\"tokenreviews\\"' in live.logs()


async def test_every_process_behind_the_port_knows_the_callers_of_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.kube.namespace() as namespace:
        cluster.account(namespace, "default")
        cluster.account(namespace, "submitter", role="spark-staging-submitter")
        submitter = cluster.token(namespace, "submitter")
        with served(tmp_path, "--workers", "2", token=submitter, variables=cluster.server_variables()) as server:
            made = server.stage(b"content", namespace=namespace)
            pods = [cluster.pod(namespace, f"executor-{number}", bundle=made["id"]) for number in range(10)]
            tokens = [cluster.token(namespace, "default", pod=pod) for pod in pods]
            stranger = cluster.token(namespace, "default")
            path = file_of(made, namespace=namespace)

            def a_reader_answered() -> bool:
                assert {server.call("GET", path, token=token).body for token in tokens} == {b"content"}
                assert server.call("GET", path, token=stranger).status == 403
                return any(line.get("process", "").startswith("reader") and "route" in line for line in server.logs())

            wait_until(a_reader_answered)


# --- one namespace, by Roles alone


async def test_a_server_of_one_namespace_works_with_a_role_there_and_the_right_to_ask_who(
    cluster: Cluster, tmp_path: Path
) -> None:
    account = cluster.account(cluster.home, "of-one")
    cluster.bind("spark-staging-server-identity", to=(cluster.home, account), namespace=None)
    role = (KUSTOMIZE / "namespace-rights" / "role.yaml").read_text()
    role = role.replace(
        f"name: {SERVER}\n    namespace: {SERVER} #", f"name: {account}\n    namespace: {cluster.home} #"
    )
    with cluster.kube.namespace() as served, cluster.applied(role, namespace=served):
        cluster.account(served, "default")
        submitter = cluster.account(served, "submitter", role="spark-staging-submitter")
        cluster.bind("spark-staging-submitter", to=(served, submitter), namespace=cluster.home)
        settings = cluster.server_settings(account)
        settings["kubernetes"]["namespaces"] = (served,)
        async with live_server(tmp_path, token=cluster.token(served, submitter), **settings) as live:
            team = Team(cluster=cluster, live=live, namespace=served)
            made = await live.staged(b"content", namespace=served)
            token = await team.token(await team.pod("driver", bundle=made["id"]))
            assert await team.read(made, token) == b"content"
            elsewhere = await live.call("GET", f"/v1/namespaces/{cluster.home}/bundles")
            assert (elsewhere.status, elsewhere.json["code"]) == (404, "not-found")


async def test_access_tokens_of_a_file_need_no_review_and_namespaces_are_still_those_of_the_cluster(
    cluster: Cluster, tmp_path: Path
) -> None:
    """`auth.mode=tokens` beside a cluster: with the Role of a namespace and nothing else."""
    tokens = tmp_path / "tokens.json"
    everything = access_token(tokens, verbs=tuple(Verb))
    account = cluster.account(cluster.home, "by-roles-alone")
    role = (KUSTOMIZE / "namespace-rights" / "role.yaml").read_text()
    role = role.replace(
        f"name: {SERVER}\n    namespace: {SERVER} #", f"name: {account}\n    namespace: {cluster.home} #"
    )
    with cluster.kube.namespace() as served, cluster.applied(role, namespace=served):
        settings = cluster.server_settings(account)
        settings["kubernetes"]["namespaces"] = (served,)
        settings["auth"] = {"mode": "tokens", "tokens_file": tokens}
        async with live_server(tmp_path, token=everything.text, **settings) as live:
            made = await live.staged(b"content", namespace=served)
            path = f"/v1/namespaces/{served}/bundles/{made['id']}/manifest"
            assert (await live.call("GET", path, token=made["token"])).status == 200
            assert (await live.call("GET", "/v1/namespaces/no-such-namespace/bundles")).status == 404


# --- tokens of the API server itself


async def test_tokens_of_the_api_server_are_taken_over_tls_where_that_is_set(cluster: Cluster, tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = MountedPair(tmp_path / "secret", authority=authority)
    settings = cluster.server_settings(api_server_tokens=True)
    async with _team(cluster, tmp_path, tls=pair.settings, **settings) as team:
        of_api = await asyncio.to_thread(cluster.token, team.namespace, "submitter", audiences=())
        ours = await asyncio.to_thread(cluster.token, team.namespace, "submitter")
        other = await asyncio.to_thread(cluster.token, team.namespace, "submitter", audiences=("other",))
        connector = aiohttp.TCPConnector(ssl=trusting(authority))
        async with aiohttp.ClientSession(connector=connector) as session:
            live = replace(team.live, session=session)
            path = f"/v1/namespaces/{team.namespace}/bundles"
            for token, status in ((of_api, 200), (ours, 200), (other, 401), ("opaque", 401), (jwt(aud=ISSUER), 401)):
                assert (await live.call("GET", path, token=token)).status == status
            assert (await live.call("GET", "/v1/info")).json["api_server_tokens"] is True


def test_tokens_of_the_api_server_are_not_taken_in_clear_text() -> None:
    auth = {"mode": "kubernetes", "api_server_tokens": True}
    with pytest.raises(ValidationError, match="could use such a token at the API server with all its rights"):
        Settings(auth=auth, kubernetes={"connect": "in-cluster"})  # type: ignore[arg-type] # as from the environment


def test_identity_needs_a_cluster() -> None:
    with pytest.raises(ValidationError, match=re.escape("auth.mode=kubernetes needs kubernetes.connect")):
        Settings(auth={"mode": "kubernetes"})  # type: ignore[arg-type] # as from the environment
