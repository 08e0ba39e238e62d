"""The roles of `deploy/`, applied to a real API server: what each may, by SubjectAccessReview and by real calls.

The server here has its own rights of `deploy/`, and proves by working with them that they are enough.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from kubernetes import client

from staging_server.access_tokens import Verb
from staging_server.auth.reviews import GROUP, RESOURCE
from staging_server.checks import Finding, run_checks
from staging_server.cluster.kinds import KINDS
from staging_server.routes import routes_table
from staging_server.settings import Settings
from tests.hostile.asking import ask, begin_upload, path_of
from tests.staging_server.auth.cluster import DEPLOY, KUSTOMIZE, SERVER, Cluster
from tests.staging_server.live import Live, live_server

pytestmark = pytest.mark.services
module_loop = pytest.mark.asyncio(loop_scope="module")

_ROLES: Final = {
    "submitter": {Verb.CREATE, Verb.GET, Verb.LIST},
    "reader": {Verb.GET, Verb.LIST},
    "operator": {Verb.GET, Verb.LIST, Verb.DELETE, Verb.PIN, Verb.OPERATE},
}
_GUARDED: Final = tuple(route for route in routes_table() if not route.rule.anyone)


def _may(cluster: Cluster, user: str, groups: tuple[str, ...] = (), **resource: str) -> bool:
    spec = {"user": user, "groups": ["system:authenticated", *groups], "resourceAttributes": resource}
    reviews: Any = client.AuthorizationV1Api(cluster.kube.core.api_client)
    return bool(reviews.create_subject_access_review({"spec": spec}).status.allowed)


def _may_bundles(cluster: Cluster, user: str, namespace: str, groups: tuple[str, ...] = ()) -> set[Verb]:
    asked = {"group": GROUP, "resource": RESOURCE, "namespace": namespace}
    return {verb for verb in Verb if _may(cluster, user, groups, verb=verb.value, **asked)}


@pytest.fixture(scope="module")
def bound(cluster: Cluster) -> Iterator[str]:
    """A namespace to which the bindings of the examples were applied."""
    manifests = (DEPLOY / "examples" / "bindings.yaml").read_text()
    with cluster.kube.namespace() as namespace, cluster.applied(manifests, namespace=namespace):
        yield namespace


def test_the_examples_give_each_its_role_where_it_is_bound_and_nowhere_else(cluster: Cluster, bound: str) -> None:
    account = f"system:serviceaccount:{bound}:nightly"
    for user, groups, role in (
        (account, (), "submitter"), ("ana", ("team-a",), "submitter"), ("support@example.com", (), "reader"),
    ):  # fmt: skip
        assert _may_bundles(cluster, user, bound, groups) == _ROLES[role], user
        assert _may_bundles(cluster, user, cluster.home, groups) == set(), user
        assert _may_bundles(cluster, user, "", groups) == set(), user
    for namespace in (bound, cluster.home, ""):
        assert _may_bundles(cluster, "root", namespace, ("platform",)) == _ROLES["operator"]
        assert _may_bundles(cluster, "stranger", namespace) == set()


def test_no_role_for_people_gives_a_right_on_anything_but_bundles(cluster: Cluster, bound: str) -> None:
    for user, groups in (("ana", ("team-a",)), ("support@example.com", ()), ("root", ("platform",))):
        for group, resource in (
            ("", "secrets"),
            ("", "pods"),
            ("", "configmaps"),
            ("authentication.k8s.io", "tokenreviews"),
        ):
            for verb in ("get", "list", "create", "delete"):
                assert not _may(cluster, user, groups, group=group, resource=resource, verb=verb, namespace=bound)


# --- the server's own rights


_VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate")
_RESOURCES: Final = (
    ("", "namespaces"), ("", "pods"), ("", "pods/log"), ("", "pods/exec"), ("", "secrets"), ("", "configmaps"),
    ("", "serviceaccounts"), ("", "serviceaccounts/token"), ("", "nodes"), ("", "users"), ("batch", "jobs"),
    ("apps", "deployments"), ("sparkoperator.k8s.io", "sparkapplications"),
    ("sparkoperator.k8s.io", "scheduledsparkapplications"), ("spark.apache.org", "sparkapplications"),
    ("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews"),
    ("rbac.authorization.k8s.io", "clusterroles"), (GROUP, RESOURCE),
)  # fmt: skip
_READ: Final = {"get", "list", "watch"}
_REVIEWS: Final = {"authentication.k8s.io": {"create"}, "authorization.k8s.io": {"create"}}


def _rights(cluster: Cluster, account: str, namespace: str) -> dict[tuple[str, str], set[str]]:
    user, groups = f"system:serviceaccount:{cluster.home}:{account}", ("system:serviceaccounts",)
    found = {
        (group, resource): {
            verb for verb in _VERBS
            if _may(cluster, user, groups, group=group, resource=resource.partition("/")[0],
                    subresource=resource.partition("/")[2], verb=verb, namespace=namespace)
        }
        for group, resource in _RESOURCES
    }  # fmt: skip
    return {resource: verbs for resource, verbs in found.items() if verbs}


def _watched() -> dict[tuple[str, str], set[str]]:
    """Return what the watches need, by the kinds that the server follows."""
    rights = {(_group(kind.group_path), kind.resource): {"list", "watch"} for kind in KINDS}
    return rights | {("", "pods"): _READ}


def _group(path: str) -> str:
    return path.split("/")[2] if path.startswith("/apis/") else ""


def test_the_server_sees_what_it_watches_in_all_namespaces_and_changes_nothing(cluster: Cluster) -> None:
    wanted = _watched() | {
        ("", "namespaces"): _READ,
        ("authentication.k8s.io", "tokenreviews"): {"create"},
        ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
    }
    for namespace in ("", "default"):
        assert _rights(cluster, SERVER, namespace) == wanted


def test_check_tells_which_rights_the_server_lacks(cluster: Cluster, tmp_path: Path) -> None:
    account = cluster.account(cluster.home, "lacking")
    found = {name: _check(cluster, name, tmp_path, namespaces=namespaces) for name, namespaces in (
        (SERVER, ()), (account, ("team-a",)),
    )}  # fmt: skip
    assert found[SERVER] == Finding("kubernetes", "kubeconfig: answers, and the server has its rights")
    assert found[account] == Finding(
        "kubernetes",
        "kubeconfig: may not create tokenreviews.authentication.k8s.io, "
        "create subjectaccessreviews.authorization.k8s.io, "
        "get namespaces in team-a, get pods in team-a, list pods in team-a, watch pods in team-a",
        fix="apply deploy/kustomize/server-rights",
    )


def _check(cluster: Cluster, account: str, folder: Path, *, namespaces: tuple[str, ...]) -> Finding:
    settings = cluster.server_settings(account)
    settings["kubernetes"]["namespaces"] = namespaces
    findings = run_checks(Settings(storage={"folder": folder / "data"}, **settings))  # type: ignore[arg-type] # as from the environment
    return next(finding for finding in findings if finding.name == "kubernetes")


def test_by_roles_alone_the_server_sees_one_namespace_only(cluster: Cluster) -> None:
    account = cluster.account(cluster.home, "namespaced")
    with cluster.kube.namespace() as served, cluster.applied(_role(cluster, account), namespace=served):
        assert _rights(cluster, account, served) == _watched() | {("", "namespaces"): {"get"}}
        for elsewhere in ("", "default", cluster.home):
            assert _rights(cluster, account, elsewhere) == {}


def _role(cluster: Cluster, account: str) -> str:
    """Return the Role for one namespace, with the account and namespace of the server filled in."""
    text = (KUSTOMIZE / "namespace-rights" / "role.yaml").read_text()
    whose = "name: spark-staging\n    namespace: spark-staging #"
    assert whose in text
    return text.replace(whose, f"name: {account}\n    namespace: {cluster.home} #")


# --- real calls


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server, a namespace in which somebody of each role is, and what one more submitter has made there."""

    cluster: Cluster
    live: Live
    namespace: str
    tokens: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    with cluster.kube.namespace() as namespace:
        for role in _ROLES:
            cluster.account(namespace, role, role=f"spark-staging-{role}")
        cluster.account(namespace, "maker", role="spark-staging-submitter")
        tokens = {name: cluster.token(namespace, name) for name in (*_ROLES, "maker")}
        folder, settings = tmp_path_factory.mktemp("place"), cluster.server_settings()
        async with live_server(folder, token=tokens["maker"], **settings) as live:
            yield Place(cluster=cluster, live=live, namespace=namespace, tokens=tokens)


@module_loop
@pytest.mark.parametrize("role", _ROLES)
async def test_each_role_is_let_into_the_routes_of_its_verbs_and_into_no_other(place: Place, role: str) -> None:
    live, namespace = place.live, place.namespace
    upload = await begin_upload(live, namespace=namespace)
    for route in _GUARDED:
        made = await live.staged(namespace=namespace)
        path = path_of(route, namespace=namespace, bundle=made["id"], upload=upload)
        answer = await ask(live, route, path, Authorization=f"Bearer {place.tokens[role]}")
        is_let_in = "{namespace}" in route.path and not _ROLES[role].isdisjoint(route.rule.verbs)
        # The bundle is somebody else's; and an upload of somebody else is unknown.
        assert (answer.status == 403) is not is_let_in, (route.name, answer)
        assert answer.status < 500


@module_loop
async def test_a_submitter_ends_its_own_bundle_and_an_operator_any(place: Place) -> None:
    live, namespace = place.live, place.namespace
    for owner, somebody, status in (
        ("submitter", "submitter", 204),
        ("submitter", "operator", 204),
        ("maker", "submitter", 403),
    ):
        made = await live.call(
            "POST", f"/v1/namespaces/{namespace}/bundles", body={"application": "job"}, token=place.tokens[owner]
        )
        path = f"/v1/namespaces/{namespace}/bundles/{made.json['id']}"
        assert (await live.call("GET", path, token=place.tokens["reader"])).json["created_by"] == (
            f"user:system:serviceaccount:{namespace}:{owner}"
        )
        assert (await live.call("DELETE", path, token=place.tokens[somebody])).status == status


@module_loop
async def test_an_operator_of_all_namespaces_sees_all_and_one_of_a_namespace_does_not(place: Place) -> None:
    cluster = place.cluster
    mighty = await asyncio.to_thread(_operator_of_all, cluster)
    for path in ("/v1/usage", "/v1/bundles", "/"):
        assert (await place.live.call("GET", path, token=mighty)).status == 200
        assert (await place.live.call("GET", path, token=place.tokens["operator"])).status == 403


def _operator_of_all(cluster: Cluster) -> str:
    account = cluster.account(cluster.home, "root")
    cluster.bind("spark-staging-operator", to=(cluster.home, account), namespace=None)
    return cluster.token(cluster.home, account)
