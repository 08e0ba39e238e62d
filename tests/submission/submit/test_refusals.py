"""What stands in the way of a job is told before anything is created or uploaded, all of it at once."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.staging_server.auth.cluster import Cluster
from tests.submission.submit.conftest import Submitter

pytestmark = pytest.mark.services


def refused(submitter: Submitter, *ours: str) -> str:
    """Submit in vain; return what was told."""
    done = submitter.submit("--detach", *ours)
    assert done.returncode != 0
    assert submitter.left() == {}
    return str(done.stderr)


def conf(submitter: Submitter, *pairs: str) -> None:
    submitter.options += tuple(word for pair in pairs for word in ("--conf", pair))


def test_missing_rights_are_asked_for_first_and_told_together(submitter: Submitter, town: Cluster) -> None:
    town.account(submitter.namespace, "stranger")
    submitter.command.environment["KUBECONFIG"] = str(town.kubeconfig(submitter.namespace, "stranger"))

    told = refused(submitter)

    assert "create secrets, create configmaps, create pods, create services, create networkpolicies" in told
    assert f"in namespace {submitter.namespace}; check with: kubectl" in told


def test_rights_that_are_needed_only_when_something_fails_are_told_and_no_reason_to_stop(
    submitter: Submitter, town: Cluster
) -> None:
    verbs = ["create", "get", "list", "watch", "patch"]
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "services", "secrets", "serviceaccounts"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["pods"], "verbs": [*verbs, "delete"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": verbs},
    ]
    town.rbac.create_namespaced_role(submitter.namespace, {"metadata": {"name": "as-stock"}, "rules": rules})
    town.account(submitter.namespace, "person")
    binding = {
        "metadata": {"name": "as-stock"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "as-stock"},
        "subjects": [{"kind": "ServiceAccount", "namespace": submitter.namespace, "name": "person"}],
    }
    town.rbac.create_namespaced_role_binding(submitter.namespace, binding)
    submitter.command.environment["KUBECONFIG"] = str(town.kubeconfig(submitter.namespace, "person"))

    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert "may not delete secrets, delete configmaps, delete services, delete networkpolicies" in done.stderr
    assert "if this submission fails half-way, such objects stay" in done.stderr


def test_a_namespace_that_is_not_there(submitter: Submitter) -> None:
    submitter.namespace = "nowhere"
    done = submitter.submit("--detach")

    assert done.returncode == 40
    assert 'namespaces "nowhere" not found; check the namespace' in done.stderr


def test_a_name_that_is_taken(submitter: Submitter) -> None:
    conf(submitter, "spark.kubernetes.driver.pod.name=etl")
    body = {"metadata": {"name": "etl"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    submitter.kube.core.create_namespaced_pod(submitter.namespace, body)

    told = refused(submitter)

    assert f"there is a Pod etl in namespace {submitter.namespace} already" in told


def test_an_exceeded_quota(submitter: Submitter) -> None:
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"requests.cpu": "500m"}}}
    submitter.kube.core.create_namespaced_resource_quota(submitter.namespace, quota)
    status = {"status": {"hard": {"requests.cpu": "500m"}, "used": {"requests.cpu": "0"}}}
    submitter.kube.core.patch_namespaced_resource_quota_status("small", submitter.namespace, status)

    told = refused(submitter)

    assert "exceeded quota: small" in told


def test_a_service_account_and_a_priority_class_that_are_not_there(submitter: Submitter) -> None:
    conf(submitter, "spark.kubernetes.authenticate.driver.serviceAccountName=nobody")
    assert f"there is no service account nobody in namespace {submitter.namespace}" in refused(submitter)

    template = {"kind": "Pod", "spec": {"priorityClassName": "urgent", "containers": [{"name": "spark"}]}}
    submitter.command.file("driver.yaml", yaml.safe_dump(template))
    submitter.options = ("--class", "demo.Main")
    conf(submitter, "spark.kubernetes.driver.podTemplateFile=driver.yaml")
    assert "there is no priority class urgent in the cluster" in refused(submitter)


def test_a_cluster_that_is_away_is_told_before_anything_is_made(submitter: Submitter) -> None:
    submitter.master = "https://127.0.0.1:1"
    submitter.command.environment["SPARK_STAGING_RETRY_SECONDS"] = "0"

    done = submitter.submit("--detach")

    assert done.returncode == 44, done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert submitter.left() == {}


def test_several_things_at_once(submitter: Submitter) -> None:
    submitter.options = ("--class", "demo.Main", "--jars", "absent.jar,http://127.0.0.1:1/remote.jar")
    conf(submitter, "spark.kubernetes.authenticate.driver.serviceAccountName=nobody")

    told = refused(submitter)

    assert "absent.jar (--jars) does not exist" in told
    assert re.search(r"http://127\.0\.0\.1:1/remote\.jar.*(refused|unreachable|cannot be reached)", told), told
    assert "there is no service account nobody" in told
    assert "problems, nothing was created" in told


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--packages", "g:a:1"), "download the jars once"),
        (("--jar", "x.jar"), "did you mean --jars?"),
        (("--conf", "spark.kubernetes.container.imag=x"), "spark.kubernetes.container.image"),
        (("--conf", "spark.kubernetes.container.image=", "--spark-version", "4.3"), "no image is named for driver"),
        (("--spark-version", "3.3"), "too old"),
        (("--submission-id", "not a label"), "a submission id becomes a label"),
        (("--conf", "spark.kubernetes.driver.podTemplateFile=no.yaml"), "the driver template no.yaml does not exist"),
        (("--detach", "--follow"), "--detach and --follow exclude each other"),
    ],
)  # fmt: skip
def test_what_cannot_be_submitted_is_a_plain_error(options: tuple[str, ...], why: str, submitter: Submitter) -> None:
    submitter.options += options
    done = submitter.submit()

    assert done.returncode in {2, 40}
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert submitter.left() == {}


def test_a_staging_server_that_is_not_known_or_not_there(submitter: Submitter) -> None:
    submitter.command.environment["SPARK_STAGING_RETRY_SECONDS"] = "0"
    submitter.command.environment["SPARK_STAGING_URL"] = "http://127.0.0.1:1"
    assert "http://127.0.0.1:1 does not answer" in refused(submitter)

    del submitter.command.environment["SPARK_STAGING_URL"]
    assert "no staging server is known" in refused(submitter)


def test_pods_that_would_send_their_token_in_clear_text(submitter: Submitter) -> None:
    told = refused(submitter, "--pod-url", "http://staging.example")

    assert "pods would send their token in clear text" in told


def test_a_sidecar_that_does_not_pass_the_profile_asked_for(submitter: Submitter) -> None:
    template: dict[str, Any] = {"kind": "Pod", "spec": {"containers": [{"name": "spark"}, {"name": "proxy"}]}}
    submitter.command.file("driver.yaml", yaml.safe_dump(template))
    conf(submitter, "spark.kubernetes.driver.podTemplateFile=driver.yaml")

    told = refused(submitter, "--pod-security", "restricted")

    assert "the container proxy does not drop ALL capabilities" in told


def test_client_mode_without_spark_here_says_what_to_do(submitter: Submitter) -> None:
    done = submitter.command.inside("submit", "--master", f"k8s://{submitter.kube.url}", "app.jar")

    assert done.returncode == 2
    assert "in client mode, which is Spark's default, the driver runs on this machine" in done.stderr


def test_client_mode_runs_the_installed_spark_submit(submitter: Submitter, tmp_path: Path) -> None:
    home = tmp_path / "spark"
    (home / "bin").mkdir(parents=True)
    (home / "jars").mkdir()
    (home / "jars" / "spark-core_2.13-4.3.0.jar").touch()
    program = home / "bin" / "spark-submit"
    program.write_text('#!/bin/sh\necho "$@"\nexit 9\n')
    program.chmod(0o755)
    submitter.command.environment["SPARK_HOME"] = str(home)

    master = ("--master", f"k8s://{submitter.kube.url}")
    done = submitter.command.run("submit", "-n", submitter.namespace, *master, "--class", "demo.Main", "app.jar")

    assert done.returncode == 9, done.stderr
    assert "spark.driver.extraClassPath=app.jar" in done.stdout
    assert submitter.left() == {}
