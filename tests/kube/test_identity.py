"""The server of deploy/kustomize/embedded-kubernetes: jobs without a Secret, and rights no wider than needed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.pod_contract import INIT_CONTAINER, LABEL, SECRET_VOLUME
from tests.kube.cluster import Cluster
from tests.kube.evidence import unrestricted
from tests.kube.identity_jobs import Grown, Whole, started_at
from tests.kube.identity_server import IdentityServer, let_submit, make_accounts, tenant
from tests.kube.init_pod import try_to_read
from tests.kube.installation import Installation
from tests.kube.processes import CommandFailedError
from tests.kube.verdict import DEPENDENCIES, faults
from tests.kube.waiting import wait_for

pytestmark = pytest.mark.kube

NEEDED = {
    ("watch", "pods"),
    ("get", "namespaces"),
    ("list", "jobs.batch"),
    ("create", "tokenreviews.authentication.k8s.io"),
    ("create", "subjectaccessreviews.authorization.k8s.io"),
}
NEVER = {
    ("get", "secrets"),
    ("list", "configmaps"),
    ("create", "pods"),
    ("patch", "pods"),
    ("delete", "pods"),
    ("create", "serviceaccounts"),
}


@pytest.fixture
def recreated(identity: IdentityServer) -> Iterator[Cluster]:
    """A namespace that a test deletes and makes anew."""
    with tenant("again") as namespace:
        let_submit(identity, namespace)
        yield namespace


def test_a_whole_job_uses_every_dependency(whole: Whole) -> None:
    assert faults(whole.finished) == []


def test_no_secret_and_no_config_map_is_made_for_it(whole: Whole) -> None:
    assert {secret["type"] for secret in whole.secrets} <= {"kubernetes.io/service-account-token"}
    ours = [item["metadata"] for item in whole.config_maps if _is_ours(item["metadata"])]
    assert ours == []


def test_its_pods_read_with_their_own_tokens(whole: Whole) -> None:
    for pod in whole.finished.pods:
        (volume,) = [item for item in pod["spec"]["volumes"] if item["name"] == SECRET_VOLUME]
        (source,) = volume["projected"]["sources"]
        assert source["serviceAccountToken"]["audience"] == "spark-staging"
        (init,) = [item for item in pod["spec"]["initContainers"] if item["name"] == INIT_CONTAINER]
        assert "sst_" not in json.dumps(init)


def test_the_server_runs_restricted_and_with_the_rights_that_it_needs_and_no_more(
    identity: IdentityServer, jobs: Cluster
) -> None:
    assert unrestricted(identity.pod(), container="server") == []
    assert {right for right in NEEDED | NEVER if identity.may(*right, namespace=jobs.namespace)} == NEEDED


def test_who_has_no_role_stages_nothing(identity: IdentityServer, jobs: Cluster, whole: Whole) -> None:
    jobs.kubectl("create", "serviceaccount", "stranger")
    stranger = identity.installation(jobs, account="stranger")
    with pytest.raises(CommandFailedError, match=f"ended with {ExitCode.DENIED:d}"):
        stranger.client("stage", str(whole.finished.job.files.jar))


def test_an_executor_that_comes_after_the_server_was_restarted_gets_its_files(grown: Grown) -> None:
    assert grown.before["metadata"]["uid"] != grown.after["metadata"]["uid"]
    driver, *executors = sorted(grown.finished.pods, key=started_at)
    assert len(executors) == 2
    first, second = map(started_at, executors)
    assert started_at(driver) < first < started_at(grown.after) < second
    assert {name: grown.finished.used_by_executors(name) for name in DEPENDENCIES} == dict.fromkeys(DEPENDENCIES, 2)


def test_all_its_pods_have_reported_to_the_one_server_or_the_other(grown: Grown) -> None:
    pods = sorted(pod["metadata"]["name"] for pod in grown.finished.pods)
    assert sorted(report["pod"] for report in grown.finished.reports) == pods
    assert {outcome.exit_code for outcome in grown.finished.inits} == {0}


def test_a_namespace_that_was_made_anew_is_an_empty_tenant(
    identity: IdentityServer, recreated: Cluster, whole: Whole
) -> None:
    submitter = identity.installation(recreated)
    file = whole.finished.job.files.jar
    first = identity.stage(recreated, file)
    assert identity.stage(recreated, file).uploaded == 0
    recreated.delete_namespace(wait=True)
    recreated.create_namespace()
    make_accounts(recreated)
    let_submit(identity, recreated)
    wait_for(lambda: _bundles(submitter) == [], what="an empty list of the new namespace", seconds=60)
    assert identity.stage(recreated, file).uploaded == first.uploaded > 0
    with pytest.raises(CommandFailedError, match=f"ended with {ExitCode.NOT_FOUND:d}"):
        submitter.client("bundles", "show", first.bundle)


def test_a_pod_of_another_namespace_with_the_label_of_a_bundle_reads_nothing_of_it(
    recreated: Cluster, grown: Grown
) -> None:
    labels = {LABEL: grown.finished.bundle}
    outcome = try_to_read(recreated, grown.finished.pods[0], name="thief", labels=labels)
    assert outcome.exit_code == ExitCode.NOT_FOUND


def _is_ours(metadata: dict[str, Any]) -> bool:
    return LABEL in metadata.get("labels", {}) or metadata["name"].startswith("spark-staging")


def _bundles(submitter: Installation) -> object:
    try:
        return json.loads(submitter.client("bundles", "list", "--output", "json"))
    except CommandFailedError:
        return None  # the old namespace is not forgotten yet, and in the new one nobody had rights a moment ago
