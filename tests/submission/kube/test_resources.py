"""Where objects are, and what they are called."""

import pytest

from staging_protocol.errors import InvalidRequest
from submission.kube import resources
from submission.kube.resources import NAMESPACES, NETWORK_POLICIES, PODS, Resource, resource_of

ALL = [one for one in vars(resources).values() if isinstance(one, Resource)]


@pytest.mark.parametrize("resource", ALL, ids=lambda one: one.kind)
def test_every_kind_is_known_by_its_objects(resource: Resource) -> None:
    assert resource_of({"apiVersion": resource.api_version, "kind": resource.kind}) is resource


@pytest.mark.parametrize("wrong", [{}, {"kind": "Pod"}, {"apiVersion": "v2", "kind": "Pod"}, {"kind": []}])
def test_a_kind_that_is_not_known_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=r"objects of kind .* are not known here"):
        resource_of(wrong)


def test_paths_are_those_of_the_api() -> None:
    assert PODS.path(namespace="jobs") == "/api/v1/namespaces/jobs/pods"
    assert PODS.path(namespace="jobs", name="x", subresource="log") == "/api/v1/namespaces/jobs/pods/x/log"
    assert PODS.path(namespace=None) == "/api/v1/pods"
    assert NAMESPACES.path(namespace="ignored", name="jobs") == "/api/v1/namespaces/jobs"
    assert NETWORK_POLICIES.path(namespace="jobs") == "/apis/networking.k8s.io/v1/namespaces/jobs/networkpolicies"
    assert (PODS.group, NETWORK_POLICIES.group) == ("", "networking.k8s.io")
