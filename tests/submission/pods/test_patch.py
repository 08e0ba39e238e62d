"""Templates get what the bundle needs, keep everything of the user, and conflicts name both sides."""

import copy
from typing import Any

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import FilesIn, Role
from staging_protocol.tokens import BundleId
from submission.pods.merge import Template
from submission.pods.patch import InitResources, PodBundle, patched, python_path_of

BUNDLE = PodBundle(
    id=BundleId("b" * 26),
    namespace="jobs",
    url="https://staging:8480",
    manifest_digest=Digest.of(b"manifest"),
    image="staging/init:1",
)
OWN: Template = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"labels": {"team": "blue"}, "annotations": {"a": "b"}},
    "spec": {
        "securityContext": {"fsGroup": 185},
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "initContainers": [{"name": "mine", "image": "busybox"}],
        "containers": [
            {"name": "sidecar", "image": "busybox"},
            {
                "name": "spark",
                "env": [{"name": "PYTHONPATH", "value": "/opt/own"}],
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
                "securityContext": {"runAsUser": 185},
            },
        ],
    },
}


def patch(template: Any = None, *, role: Role = Role.DRIVER, container: str | None = None, **fields: Any) -> Template:
    bundle = PodBundle(**{name: fields.get(name, getattr(BUNDLE, name)) for name in PodBundle.__dataclass_fields__})
    return patched(template, bundle=bundle, role=role, files_in=FilesIn.DATA, container=container)


def with_(path: list[str | int], value: object) -> Template:
    """The user's template with one thing changed."""
    template: Any = copy.deepcopy(OWN)
    place = template
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return template  # type: ignore[no-any-return] # it is walked as any


def init_of(pod: Template) -> dict[str, Any]:
    container: dict[str, Any] = pod["spec"]["initContainers"][0]
    return container


def test_the_init_container_may_do_nothing_but_its_work() -> None:
    init = init_of(patch())

    assert init["name"] == "spark-staging-init"
    assert init["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert init["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "128Mi"},
    }


def test_requests_and_limits_are_settable() -> None:
    assert init_of(patch(resources=InitResources(memory_limit="1Gi")))["resources"]["limits"]["memory"] == "1Gi"


AUTHORITY = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
PROJECTED: Template = {
    "name": "spark-staging-token",
    "projected": {
        "defaultMode": 0o444,
        "sources": [
            {"serviceAccountToken": {"audience": "spark-staging", "expirationSeconds": 3600, "path": "token"}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "ca.crt", "fieldRef": {"fieldPath": "metadata.annotations['spark-staging.io/ca']"}}
                    ]
                }
            },
        ],
    },
}


@pytest.mark.parametrize("role", Role)
def test_pods_that_the_server_knows_have_their_own_token_and_no_secret(role: Role) -> None:
    with_secret = patch(OWN, role=role)
    pod = patch(OWN, role=role, token_audience="spark-staging", ca=AUTHORITY)

    volumes = [PROJECTED if one["name"] == PROJECTED["name"] else one for one in with_secret["spec"]["volumes"]]
    annotations = {**with_secret["metadata"]["annotations"], "spark-staging.io/ca": AUTHORITY}
    assert pod == {
        **with_secret,
        "metadata": {**with_secret["metadata"], "annotations": annotations},
        "spec": {**with_secret["spec"], "volumes": volumes},
    }
    assert pod["metadata"]["labels"]["spark-staging.io/bundle"] == BUNDLE.id


def test_an_authority_is_in_the_pod_only_where_the_server_has_one_of_its_own_and_no_secret_holds_it() -> None:
    plain = patch(token_audience="elsewhere")
    (volume,) = (one for one in plain["spec"]["volumes"] if one["name"] == PROJECTED["name"])

    token = {"audience": "elsewhere", "expirationSeconds": 3600, "path": "token"}
    assert volume["projected"]["sources"] == [{"serviceAccountToken": token}]
    assert list(plain["metadata"]["annotations"]) == ["spark-staging.io/manifest-digest"]
    assert list(patch(ca=AUTHORITY)["metadata"]["annotations"]) == ["spark-staging.io/manifest-digest"]


def test_the_token_is_mounted_in_the_init_container_only_and_the_api_token_is_hidden_there() -> None:
    pod = patch()
    mounts = {mount["mountPath"]: mount["name"] for mount in init_of(pod)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}

    assert volumes["spark-staging-token"]["secret"] == {
        "secretName": f"spark-staging-{BUNDLE.id}",
        "defaultMode": 0o444,
    }
    assert volumes[mounts["/var/run/secrets/kubernetes.io/serviceaccount"]] == {
        "name": "spark-staging-no-api-token",
        "emptyDir": {},
    }
    assert mounts["/var/run/secrets/spark-staging"] == "spark-staging-token"
    assert [mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]] == ["spark-staging", "spark-work"]


def test_spark_reads_the_data_and_works_in_the_writable_folder() -> None:
    container = patch()["spec"]["containers"][0]

    assert container == {
        "name": "spark-kubernetes-driver",
        "workingDir": "/var/spark-work",
        "volumeMounts": [
            {"name": "spark-staging", "mountPath": "/var/spark-data", "readOnly": True},
            {"name": "spark-work", "mountPath": "/var/spark-work"},
        ],
    }


def test_the_environment_is_the_one_of_the_contract_and_holds_no_token() -> None:
    env = {item["name"]: item.get("value", item.get("valueFrom")) for item in init_of(patch(role=Role.EXECUTOR))["env"]}

    assert env == {
        "SPARK_STAGING_URL": "https://staging:8480",
        "SPARK_STAGING_BUNDLE": BUNDLE.id,
        "SPARK_STAGING_NAMESPACE": "jobs",
        "SPARK_STAGING_ROLE": "executor",
        "SPARK_STAGING_FILES_IN": "data",
        "SPARK_STAGING_POD": {"fieldRef": {"fieldPath": "metadata.name"}},
    }


def test_plain_http_is_allowed_in_pods_only_where_it_was_asked_for() -> None:
    env = {item["name"]: item.get("value") for item in init_of(patch(allow_plain_http=True))["env"]}

    assert env["SPARK_STAGING_ALLOW_PLAIN_HTTP"] == "true"


def test_everything_of_the_user_is_kept_and_ours_comes_first() -> None:
    pod = patch(OWN, container="spark")
    spec = pod["spec"]

    assert pod["metadata"]["labels"] == {"team": "blue", "spark-staging.io/bundle": BUNDLE.id}
    assert pod["metadata"]["annotations"]["a"] == "b"
    assert pod["metadata"]["annotations"]["spark-staging.io/manifest-digest"] == BUNDLE.manifest_digest
    assert [item["name"] for item in spec["initContainers"]] == ["spark-staging-init", "mine"]
    assert spec["volumes"][-1] == {"name": "scratch", "emptyDir": {}}
    assert spec["securityContext"] == {"fsGroup": 185}
    assert spec["containers"][0] == {"name": "sidecar", "image": "busybox"}
    spark = spec["containers"][1]
    assert spark["env"] == [{"name": "PYTHONPATH", "value": "/opt/own"}]
    assert spark["volumeMounts"][-1] == {"name": "scratch", "mountPath": "/scratch"}
    assert spark["securityContext"] == {"runAsUser": 185}


def test_the_users_template_itself_is_not_changed() -> None:
    before = copy.deepcopy(OWN)

    patch(OWN)

    assert before == OWN


def test_without_a_name_the_first_container_is_sparks() -> None:
    containers = patch(OWN)["spec"]["containers"]

    assert containers[0]["workingDir"] == "/var/spark-work"
    assert "workingDir" not in containers[1]


@pytest.mark.parametrize(
    ("template", "names"),
    [
        (with_(["spec", "volumes", 0, "name"], "spark-work"), ["volume", "spark-work"]),
        (with_(["spec", "initContainers", 0, "name"], "spark-staging-init"), ["init container", "spark-staging-init"]),
        (with_(["spec", "containers", 0, "workingDir"], "/opt"), ["workingDir /opt", "/var/spark-work"]),
        (
            with_(["spec", "containers", 0, "volumeMounts"], [{"name": "mine", "mountPath": "/var/spark-data/"}]),
            ["mine", "spark-staging"],
        ),
        (
            with_(["spec", "containers", 0, "volumeMounts"], [{"name": "mine", "mountPath": "/var/spark-work/in"}]),
            ["mine", "spark-work"],
        ),
        (with_(["spec", "containers", 0, "volumeMounts"], [{"name": "mine", "mountPath": "/var"}]), ["mine", "/var"]),
        (with_(["metadata", "labels", "spark-staging.io/bundle"], "other"), ["other", BUNDLE.id]),
        ({"kind": "Deployment", "spec": {}}, ["Deployment"]),
    ],
)
def test_a_conflict_names_both_sides(template: Template, names: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        patch(template)

    for name in names:
        assert name in caught.value.detail


def test_a_neighbouring_mount_is_no_conflict() -> None:
    assert patch(with_(["spec", "containers", 0, "volumeMounts"], [{"name": "m", "mountPath": "/var/spark-data2"}]))


def test_a_container_name_that_the_template_lacks_is_an_error_with_those_it_has() -> None:
    with pytest.raises(InvalidRequest, match="only: sidecar, spark"):
        patch(OWN, container="absent")


def test_a_container_name_without_a_template_names_the_container() -> None:
    assert patch(None, container="main")["spec"]["containers"][0]["name"] == "main"


def test_the_users_pythonpath_is_found_where_spark_would_hide_it() -> None:
    assert python_path_of(OWN, role=Role.DRIVER, container="spark") == "/opt/own"
    assert python_path_of(OWN, role=Role.DRIVER) is None
    assert python_path_of(None, role=Role.DRIVER) is None
