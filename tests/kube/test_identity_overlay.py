"""What a test changes in the manifests with Kubernetes' identity, without a cluster."""

from typing import Any

from tests.kube.identity_overlay import CLUSTER_WIDE, as_own, rights_in

ACCOUNT = {"kind": "ServiceAccount", "name": "spark-staging", "namespace": "spark-staging"}


def _binding(kind: str) -> dict[str, Any]:
    role = {"kind": "ClusterRole", "name": "watch"}
    return {"kind": kind, "metadata": {"name": "watch"}, "roleRef": role, "subjects": [dict(ACCOUNT)]}


def test_an_installation_of_a_test_takes_no_role_of_another_one() -> None:
    role = {"kind": "ClusterRole", "metadata": {"name": "watch"}}
    named = as_own([_binding("ClusterRoleBinding"), role], namespace="here")
    assert {item["metadata"]["name"] for item in named} == {"watch-here"}
    assert named[0]["roleRef"]["name"] == "watch-here"
    assert named[0]["subjects"] == [{**ACCOUNT, "namespace": "here"}]


def test_what_lies_in_a_namespace_keeps_its_name() -> None:
    account = {"kind": "ServiceAccount", "metadata": {"name": "spark-staging"}}
    assert as_own([account], namespace="here") == [account]


def test_a_namespace_that_is_served_has_a_role_of_its_own_for_the_server_elsewhere() -> None:
    role, binding = rights_in("team-a", namespace="here")
    assert not {role["kind"], binding["kind"]} & CLUSTER_WIDE
    assert {role["metadata"]["namespace"], binding["metadata"]["namespace"]} == {"team-a"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["namespace"] for subject in binding["subjects"]] == ["here"]
