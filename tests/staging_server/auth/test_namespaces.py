"""A namespace that was deleted and made again is another tenant, for everybody."""

from pathlib import Path
from typing import Any, Final

import pytest

from staging_server.routes import routes_table
from tests.hostile.asking import ask, begin_upload, is_refusal, path_of
from tests.staging_server.auth.cluster import Cluster
from tests.staging_server.live import live_server

pytestmark = pytest.mark.services

_OF_THINGS: Final = tuple(route for route in routes_table() if "{bundle}" in route.path or "{upload}" in route.path)


async def test_a_namespace_that_was_made_again_is_empty(cluster: Cluster, tmp_path: Path) -> None:
    """Neither the old token nor a new pod with the old label nor somebody with every right finds what was there."""
    settings, mighty = _everybody(cluster)
    with cluster.kube.namespace() as green:
        async with live_server(tmp_path, token=mighty, **settings) as live:
            made = await live.staged(b"content", namespace=green)
            upload = await begin_upload(live, namespace=green)
        of_pod = _made_again(cluster, green, bundle=made["id"])
        async with live_server(tmp_path, token=mighty, **settings) as live:
            assert (await live.call("GET", f"/v1/namespaces/{green}/bundles")).json == {"bundles": []}
            for route in _OF_THINGS:
                path = path_of(route, namespace=green, bundle=made["id"], upload=upload)
                for token in (mighty, made["token"], of_pod) if route.rule.bundle_token else (mighty,):
                    answer = await ask(live, route, path, Authorization=f"Bearer {token}")
                    assert is_refusal(answer, route, 404, "not-found"), (route.name, answer)


def _everybody(cluster: Cluster) -> tuple[dict[str, Any], str]:
    """Return settings of a server, and the token of somebody with every right everywhere."""
    cluster.account(cluster.home, "everybody")
    for role in ("submitter", "operator"):
        cluster.bind(f"spark-staging-{role}", to=(cluster.home, "everybody"), namespace=None)
    return cluster.server_settings(), cluster.token(cluster.home, "everybody")


def _made_again(cluster: Cluster, namespace: str, *, bundle: str) -> str:
    """Make a namespace anew; return the token of a pod in it with the label of `bundle`."""
    cluster.recreate_namespace(namespace)
    cluster.account(namespace, "default")
    return cluster.token(namespace, "default", pod=cluster.pod(namespace, "heir", bundle=bundle))
