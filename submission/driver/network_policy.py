"""The NetworkPolicy that lets only pods of the application reach its executors (`NetworkPolicyFeatureStep`).  Pure."""

from submission.driver import abilities
from submission.driver.building import Building
from submission.driver.labels import ROLE, SELECTOR


def network_policy(building: Building) -> Building:
    """Add the policy, where the version has one."""
    if not building.since(abilities.NETWORK_POLICY):
        return building
    ours = {SELECTOR: building.job.application_id}
    return building.with_owned(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": building.names.of("policy"),
                "namespace": building.job.namespace,
                "labels": dict(ours),
            },
            "spec": {
                "podSelector": {"matchLabels": {ROLE: "executor", **ours}},
                "ingress": [{"from": [{"podSelector": {"matchLabels": dict(ours)}}]}],
            },
        }
    )
