"""`deploy/examples/submit-rights.yaml` gives what submitting and pruning need, and what is in it is needed."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from submission.kube.resources import PODS
from submission.pruning.labelled import MADE_BY_SUBMIT
from tests.services.faults import Refuse
from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import until
from tests.submission.submit.conftest import CREATION, Submitter, through_proxy

pytestmark = pytest.mark.services

_EXAMPLE: Final = Path(__file__).parents[3] / "deploy" / "examples" / "submit-rights.yaml"
_USED_BY_OTHERS: Final = {"pods/log", "events", "persistentvolumeclaims", "namespaces", "podgroups"}
"""For `logs`, for what a pod waits for, for volumes on demand, for users of pods, and for Volcano."""


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


def example(name: str = "spark-submitter") -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(_EXAMPLE.read_text())
    (role,) = (one for one in documents if one["kind"] == "Role" and one["metadata"]["name"] == name)
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


@pytest.mark.parametrize("step", ["POST services", "PATCH configmaps"])
@pytest.mark.parametrize("may_look", [True, False])
def test_with_the_example_nothing_is_left_when_a_step_fails(
    *, may_look: bool, step: str, person: Submitter, town: Cluster, tmp_path: Path
) -> None:
    rules = example()
    for verbs in () if may_look else (rule["verbs"] for rule in rules if "delete" in rule["verbs"]):
        verbs.remove("get")
    grant(person, town, rules=rules)
    with through_proxy(person, town, tmp_path) as proxy:
        proxy.at(CREATION.index(step) + 1, fault=Refuse(status=500), times=2)
        done = person.submit("--detach")
    assert done.returncode == 44, done.stderr
    # Of an object whose creation was not answered, who may not look cannot know.
    assert ("may be left" in done.stderr) == (not may_look and step.startswith("POST"))
    assert person.left() == {}


@pytest.mark.parametrize(("may_look", "user"), [(True, None), (False, 185)])
def test_who_may_not_look_at_the_namespace_gets_sparks_user(
    *, may_look: bool, user: int | None, person: Submitter, town: Cluster
) -> None:
    """The namespace says that the cluster itself gives pods their users."""
    ranges = {"metadata": {"annotations": {"openshift.io/sa.scc.uid-range": "1000680000/10000"}}}
    person.kube.core.patch_namespace(person.namespace, ranges)
    grant(person, town, rules=[rule for rule in example() if may_look or rule["resources"] != ["namespaces"]])

    done = person.submit("--detach", "--pod-security", "restricted")

    assert done.returncode == 0, done.stderr
    assert person.driver()["spec"]["containers"][0]["securityContext"].get("runAsUser") == user
    assert ("so Spark's containers run as user 185: on OpenShift" in done.stderr) == (not may_look)


def test_who_has_none_of_the_rights_is_told_each_that_is_needed(person: Submitter, town: Cluster) -> None:
    grant(person, town, rules=[])
    told = person.submit().stderr  # who waits looks at pods, too
    needed = [
        f"{verb} {resource}"
        for rule in example()
        for verb in rule["verbs"]
        for resource in set(rule["resources"]) - _USED_BY_OTHERS
        if verb not in {"get", "delete"} or resource == "pods"  # of others only when something fails
    ]
    assert len(needed) == 5 + 4 + 2
    assert [right for right in needed if right not in told] == []


def test_with_the_rights_to_prune_all_that_a_submission_left_is_deleted(person: Submitter, town: Cluster) -> None:
    cut_off(person)
    grant(person, town, rules=example("spark-pruner"))

    done = person.command.inside("bundles", "prune", "--older-than", "0s", "-n", person.namespace)

    assert done.returncode == 0, done.stderr
    assert person.left().keys() == {"bundle"}


def test_who_has_rights_on_secrets_only_prunes_these_and_is_told_what_was_not_looked_at(
    person: Submitter, town: Cluster
) -> None:
    cut_off(person)
    before = person.left()
    grant(person, town, rules=[{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "delete"]}])

    done = person.command.inside("bundles", "prune", "--older-than", "0s", "-n", person.namespace)

    assert done.returncode == 0, done.stderr
    assert "what killed submissions have left is not looked at" in done.stderr
    (secret,) = before["secret"]
    assert f"secret/{secret}" in done.stdout
    assert person.left() == before  # its bundle is there


def test_the_rights_to_prune_are_for_all_that_a_submission_makes_and_nothing_else() -> None:
    rules = [(rule["apiGroups"], kind) for rule in example("spark-pruner") for kind in rule["resources"]]

    assert all(rule["verbs"] == ["list", "delete"] for rule in example("spark-pruner"))
    assert sorted(rules) == sorted(([one.group], one.plural) for one in (PODS, *MADE_BY_SUBMIT))


def cut_off(person: Submitter) -> None:
    """Let a job be submitted as by somebody who was killed before its first object had an owner."""
    own = person.command.environment["KUBECONFIG"]
    person.command.environment["KUBECONFIG"] = str(person.kube.kubeconfig)
    assert person.submit("--detach").returncode == 0
    person.command.environment["KUBECONFIG"] = own
    name = person.objects("config_map")[0]["metadata"]["name"]
    person.kube.core.patch_namespaced_config_map(name, person.namespace, {"metadata": {"ownerReferences": None}})
