"""What can be wrong with the cluster and our rights there: each is told alone, with its fix."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import trustme
import yaml

from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import free_port
from tests.submission.doctor.conftest import EVERYTHING, SERVICES, Site
from tests.submission.doctor.fronts import website

pytestmark = pytest.mark.services


def test_no_kubeconfig(site: Site) -> None:
    row = site.doctor(KUBECONFIG="/nowhere/kubeconfig").only("kubeconfig")

    assert "/nowhere/kubeconfig does not exist" in row["found"]
    assert "KUBECONFIG" in row["fix"]


def test_a_malformed_kubeconfig(site: Site) -> None:
    path = site.command.file("broken", "clusters: [\n")

    row = site.doctor(KUBECONFIG=str(path)).only("kubeconfig")

    assert "malformed" in row["found"]


def test_a_wrong_context(site: Site) -> None:
    row = site.doctor("--context", "production").only("kubeconfig")

    assert "no context 'production'" in row["found"]
    assert "kubectl config get-contexts" in row["fix"]


def test_a_login_program_that_fails(site: Site) -> None:
    program = site.command.file("login", "#!/bin/sh\necho 'your session has ended' >&2\nexit 1\n")
    program.chmod(0o755)
    login = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(program),
            "interactiveMode": "Never",
        }
    }

    row = site.doctor(KUBECONFIG=site.kubeconfig(login)).only("cluster login")

    assert "your session has ended" in row["found"]
    assert "login program by hand" in row["fix"]


def test_an_api_server_that_is_gone(site: Site) -> None:
    address = f"https://127.0.0.1:{free_port()}"

    report = site.run(
        "--", "--master", f"k8s://{address}", "--deploy-mode", "cluster",
        "--conf", "spark.kubernetes.container.image=spark:4.3.0", "local:///opt/app.jar",
    )  # fmt: skip

    row = report.only("cluster port")
    assert "nothing listens" in row["found"]
    assert "--master" in row["fix"]


def test_a_proxy_of_the_kubeconfig_that_is_gone(site: Site) -> None:
    path = Path(site.kubeconfig({"token": "x"}))
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = f"http://127.0.0.1:{free_port()}"
    path.write_text(yaml.safe_dump(config))

    report = site.doctor(KUBECONFIG=str(path))

    assert report.rows["cluster port"]["status"] == "fail"
    assert "proxy-url" in report.rows["cluster port"]["fix"]
    assert report.not_ok() == {"cluster port", "proxies"}  # which says that the API server is near


def test_what_is_no_api_server(site: Site) -> None:
    with website(200) as url:
        report = site.run(
            "--", "--master", f"k8s://{url}", "--deploy-mode", "cluster",
            "--conf", "spark.kubernetes.container.image=spark:4.3.0", "local:///opt/app.jar",
            KUBECONFIG=site.kubeconfig({}),
        )  # fmt: skip

    report.only("API server")


def test_a_namespace_that_is_being_deleted(site: Site, town: Cluster) -> None:
    name = f"leaving-{uuid4().hex[:8]}"
    town.kube.core.create_namespace({"metadata": {"name": name}})
    town.kube.core.delete_namespace(name)  # and no controller empties it

    row = site.doctor(SPARK_STAGING_NAMESPACE=name).only("namespace")

    assert row["found"] == f"the namespace {name} is being deleted"


def test_another_clusters_authority(site: Site, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")

    path = site.kubeconfig({"token": "x"}, authority=str(tmp_path / "other.pem"))
    row = site.doctor(KUBECONFIG=path).only("cluster TLS")

    assert "kubeconfig of this cluster" in row["fix"]


def test_a_token_that_the_cluster_does_not_know(site: Site) -> None:
    row = site.doctor(KUBECONFIG=site.kubeconfig({"token": "no-such-token"})).only("cluster identity")

    assert "log in again" in row["fix"]


def test_a_namespace_that_is_not_there(site: Site) -> None:
    row = site.doctor(SPARK_STAGING_NAMESPACE="no-such-namespace").only("namespace")

    assert "kubectl create namespace no-such-namespace" in row["fix"]


def test_a_right_that_is_missing(site: Site) -> None:
    row = site.doctor(KUBECONFIG=site.person(EVERYTHING)).only("rights")

    assert row["found"] == f"may not create services, get services, delete services in namespace {site.name}"
    assert "rolebinding" in row["fix"]


def test_no_right_to_make_the_secret_of_a_bundle(site: Site) -> None:
    without = {**EVERYTHING, "resources": [one for one in EVERYTHING["resources"] if one != "secrets"]}

    row = site.doctor(KUBECONFIG=site.person(without, SERVICES)).only("pod identity")

    assert row["found"].startswith("may not create secrets")


def test_who_may_not_look_is_told_what_is_not_known(site: Site, town: Cluster) -> None:
    report = site.doctor(KUBECONFIG=str(town.kube.stranger))

    unknown = {name for name in report.not_ok() if report.rows[name]["status"] == "unknown"}
    assert unknown == {"namespace", "driver account", "driver rights", "quotas", "Pod Security"}
    assert report.not_ok() - unknown == {"rights", "pod identity"}


def test_a_service_account_that_is_not_there(site: Site) -> None:
    row = site.doctor(account="nobody").only("driver account")

    assert f"kubectl -n {site.name} create serviceaccount nobody" in row["fix"]


def test_a_driver_without_rights(site: Site, town: Cluster) -> None:
    town.account(site.name, "powerless")

    row = site.doctor(account="powerless").only("driver rights")

    assert "powerless may not create pods" in row["found"]
    assert f"--serviceaccount={site.name}:powerless" in row["fix"]


def test_a_driver_that_cannot_tidy_up(site: Site, town: Cluster) -> None:
    kinds = {
        "apiGroups": [""],
        "resources": ["pods", "configmaps"],
        "verbs": ["create", "get", "list", "watch", "delete"],
    }
    town.rbac.create_namespaced_role(site.name, {"metadata": {"name": "untidy"}, "rules": [kinds]})
    town.account(site.name, "untidy")
    binding = {
        "metadata": {"name": "untidy"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "untidy"},
        "subjects": [{"kind": "ServiceAccount", "namespace": site.name, "name": "untidy"}],
    }
    town.rbac.create_namespaced_role_binding(site.name, binding)

    row = site.doctor(account="untidy").only("driver rights", status="warn")

    assert "deletecollection pods" in row["found"]


def test_rights_of_the_driver_are_found_by_impersonation(site: Site, town: Cluster) -> None:
    person = site.person(
        {**EVERYTHING, "apiGroups": [""]},
        SERVICES,
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]},
    )

    assert site.doctor(KUBECONFIG=person).not_ok() == set()

    town.account(site.name, "weak")
    site.doctor(KUBECONFIG=person, account="weak").only("driver rights")


def test_a_quota_that_is_used_up(own_place: Site, town: Cluster) -> None:
    core = town.kube.core
    core.create_namespaced_resource_quota(
        own_place.name, {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}}}
    )
    status = {"hard": {"pods": "2", "limits.memory": "1Gi"}, "used": {"pods": "2", "limits.memory": "500Mi"}}
    core.patch_namespaced_resource_quota_status("small", own_place.name, {"status": status})

    row = own_place.doctor().only("quotas")

    assert row["found"] == f"used up in namespace {own_place.name}: pods of small (2 of 2)"
    assert "ask for more" in row["fix"]


@contextmanager
def labelled(town: Cluster, name: str, mode: str) -> Iterator[None]:
    label = f"pod-security.kubernetes.io/{mode}"
    town.kube.core.patch_namespace(name, {"metadata": {"labels": {label: "restricted"}}})
    try:
        yield
    finally:
        town.kube.core.patch_namespace(name, {"metadata": {"labels": {label: None}}})


@pytest.mark.parametrize(("mode", "status"), [("enforce", "fail"), ("warn", "warn")])
def test_a_profile_that_our_pods_do_not_pass(own_place: Site, town: Cluster, mode: str, status: str) -> None:
    with labelled(town, own_place.name, mode):
        row = own_place.doctor().only("Pod Security", status=status)

    assert "--pod-security restricted" in row["fix"]


def test_a_profile_that_pods_are_made_for(own_place: Site, town: Cluster) -> None:
    with labelled(town, own_place.name, "enforce"):
        report = own_place.run(
            "--", "--pod-security", "restricted", "--deploy-mode", "cluster",
            "--conf", "spark.kubernetes.container.image=spark:4.3.0",
            "--conf", "spark.kubernetes.authenticate.driver.serviceAccountName=spark", "local:///opt/app.jar",
        )  # fmt: skip

    assert report.not_ok() == set()
