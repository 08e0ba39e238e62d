"""`deploy/examples/submit-rights.yaml` gives what a submission needs, and what is in it is needed."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import until
from tests.submission.submit.conftest import Submitter

pytestmark = pytest.mark.services

_EXAMPLE: Final = Path(__file__).parents[3] / "deploy" / "examples" / "submit-rights.yaml"
_USED_BY_OTHERS: Final = {"pods/log", "events", "persistentvolumeclaims"}
"""For `logs`, for what a pod waits for, and for volumes on demand."""


@pytest.fixture
def person(submitter: Submitter, town: Cluster) -> Submitter:
    """Somebody without rights, so far."""
    town.account(submitter.namespace, "person")
    submitter.command.environment["KUBECONFIG"] = str(town.kubeconfig(submitter.namespace, "person"))
    return submitter


def grant(person: Submitter, town: Cluster, *, rules: list[dict[str, Any]]) -> None:
    """Bind a Role with `rules` to the person."""
    town.rbac.create_namespaced_role(person.namespace, {"metadata": {"name": "spark-submitter"}, "rules": rules})
    binding = {
        "metadata": {"name": "person"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "spark-submitter"},
        "subjects": [{"kind": "ServiceAccount", "namespace": person.namespace, "name": "person"}],
    }
    town.rbac.create_namespaced_role_binding(person.namespace, binding)


def example() -> list[dict[str, Any]]:
    role = next(iter(yaml.safe_load_all(_EXAMPLE.read_text())))
    return list(role["rules"])


def test_with_the_example_a_job_is_submitted_followed_and_ended(person: Submitter, town: Cluster) -> None:
    grant(person, town, rules=example())
    done = person.submit("--detach")
    assert done.returncode == 0, done.stderr
    assert "may not" not in done.stderr
    name = person.driver()["metadata"]["name"]
    where = ("-n", person.namespace)
    assert person.command.inside("status", name, *where).returncode == 0
    assert name in person.command.inside("list", *where).stdout
    killed = person.command.inside("kill", name, "--grace", "0", *where)
    assert killed.returncode == 0, killed.stderr
    until(lambda: not person.objects("pod"), what="the end of the driver")


def test_who_has_none_of_the_rights_is_told_each_that_is_needed(person: Submitter, town: Cluster) -> None:
    grant(person, town, rules=[])
    told = person.submit().stderr  # who waits looks at pods, too
    needed = [
        f"{verb} {resource}"
        for rule in example()
        for verb in rule["verbs"]
        for resource in set(rule["resources"]) - _USED_BY_OTHERS
        if verb != "delete" or resource == "pods"  # of others only when something fails
    ]
    assert len(needed) == 5 + 4 + 2
    assert [right for right in needed if right not in told] == []
