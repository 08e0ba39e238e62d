"""The overlay with the identity of the cluster, without a cluster: it fits what it patches, and settings that exist."""

from typing import Any

import yaml

from staging_server.settings import AuthMode, Connect, Settings
from tests.kube.test_overlay import PREFIX, deployment, has_field
from tests.staging_server.auth.cluster import KUSTOMIZE, SERVER

_OVERLAY = KUSTOMIZE / "embedded-kubernetes"


def _patch() -> dict[str, Any]:
    return dict(yaml.safe_load((_OVERLAY / "deployment.yaml").read_text()))


def _container(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _settings() -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in _container(_patch())["env"]}


def test_it_patches_the_embedded_deployment_and_brings_the_rights() -> None:
    overlay = yaml.safe_load((_OVERLAY / "kustomization.yaml").read_text())
    assert overlay["bases"] == ["../embedded", "../server-rights", "../roles"]
    assert overlay["patchesStrategicMerge"] == ["deployment.yaml"]
    patch, whole = _patch(), deployment()
    assert (patch["kind"], patch["metadata"]["name"]) == (whole["kind"], whole["metadata"]["name"])
    assert _container(patch)["name"] == _container(whole)["name"]


def test_every_variable_is_a_setting_of_the_server_and_says_how_to_know_callers() -> None:
    settings = _settings()
    assert all(has_field(Settings, name.removeprefix(PREFIX).lower().split("__")) for name in settings)
    assert settings[f"{PREFIX}AUTH__MODE"] == AuthMode.KUBERNETES
    assert settings[f"{PREFIX}KUBERNETES__CONNECT"] == Connect.IN_CLUSTER


def test_it_needs_no_secret_of_tokens_any_more_and_gives_the_server_its_own_token() -> None:
    pod, whole = _patch()["spec"]["template"]["spec"], deployment()["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is True
    deleted = [one for one in (*pod["volumes"], *_container(_patch())["volumeMounts"], *_container(_patch())["env"])
               if one.get("$patch") == "delete"]  # fmt: skip
    assert [next(iter(one.values())) for one in deleted] == [
        "tokens", "/etc/spark-staging/tokens", f"{PREFIX}AUTH__TOKENS_FILE"
    ]  # fmt: skip
    assert {"tokens"} <= {volume["name"] for volume in whole["volumes"]}


def test_the_rights_are_given_to_the_account_that_the_server_runs_as() -> None:
    account = deployment()["spec"]["template"]["spec"]["serviceAccountName"]
    assert account == SERVER
    for path in (*(KUSTOMIZE / "server-rights").glob("[!k]*.yaml"), KUSTOMIZE / "namespace-rights" / "role.yaml"):
        _, binding = yaml.safe_load_all(path.read_text())
        assert [(one["kind"], one["name"]) for one in binding["subjects"]] == [("ServiceAccount", account)], path
