"""The embedded server's pod, as the overlay makes it."""

import pytest

from tests.kube.cluster import Cluster
from tests.kube.evidence import unrestricted

pytestmark = pytest.mark.kube


def test_the_server_runs_restricted_and_without_an_api_token(cluster: Cluster) -> None:
    pods = cluster.select("pod", labels="app.kubernetes.io/name=spark-staging")
    assert len(pods) == 1
    assert unrestricted(pods[0], container="server") == []
    mounts = pods[0]["spec"]["containers"][0]["volumeMounts"]
    assert not [mount for mount in mounts if "serviceaccount" in mount["mountPath"]]
