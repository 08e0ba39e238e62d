"""What pods are given to reach the places of remote dependencies: settings, the keys of Secrets, variables."""

import json
from typing import Any

import pytest

from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import Role
from staging_protocol.source_files import read_sources
from staging_protocol.sources import SourceSettings
from submission.pods.merge import Template
from submission.pods.sources import MAX_ANNOTATIONS, PodSources, pod_sources
from tests.submission.pods.test_patch import OWN, init_of, patch, with_

S3: dict[str, Any] = {"s3": {"region": "eu-central-1", "access_key": {"id": "aws/id", "secret": "aws/secret"}}}
MANY: dict[str, Any] = {
    "connection": {"ca_file": "/etc/pki/site.pem"},
    **S3,
    "gcs": {"credentials": "gcs.key/key.json"},
    "hdfs": {"site": "aws/hdfs-site.xml"},
}


def sources(given: dict[str, Any], **more: Any) -> PodSources:
    return pod_sources(read_sources(json.dumps(given).encode()), **more)


def named(items: list[Template]) -> dict[str, Template]:
    return {item["name"]: item for item in items}


@pytest.mark.parametrize("role", Role)
def test_settings_are_an_annotation_that_the_init_container_reads_as_a_file(role: Role) -> None:
    pod = patch(OWN, role=role, sources=sources(S3))

    text = pod["metadata"]["annotations"]["spark-staging.io/sources"]
    assert json.loads(text) == S3
    assert named(pod["spec"]["volumes"])["spark-staging-sources"]["downwardAPI"] == {
        "defaultMode": 0o444,
        "items": [
            {"path": "sources.json", "fieldRef": {"fieldPath": "metadata.annotations['spark-staging.io/sources']"}}
        ],
    }
    assert named(init_of(pod)["volumeMounts"])["spark-staging-sources"] == {
        "name": "spark-staging-sources", "mountPath": "/etc/spark-staging", "readOnly": True,
    }  # fmt: skip


def test_each_credential_is_a_key_of_a_secret_in_one_volume_that_nobody_waits_for() -> None:
    pod = patch(sources=sources(MANY))

    volume = named(pod["spec"]["volumes"])["spark-staging-source-secrets"]
    assert volume["projected"] == {
        "defaultMode": 0o444,
        "sources": [
            {
                "secret": {
                    "name": "aws",
                    "items": [
                        {"key": "id", "path": "aws/id"},
                        {"key": "secret", "path": "aws/secret"},
                        {"key": "hdfs-site.xml", "path": "aws/hdfs-site.xml"},
                    ],
                    "optional": True,
                }
            },
            {
                "secret": {
                    "name": "gcs.key",
                    "items": [{"key": "key.json", "path": "gcs.key/key.json"}],
                    "optional": True,
                }
            },
        ],
    }
    assert named(init_of(pod)["volumeMounts"])["spark-staging-source-secrets"] == {
        "name": "spark-staging-source-secrets",
        "mountPath": "/var/run/secrets/spark-staging-sources",
        "readOnly": True,
    }


def test_spark_itself_sees_neither_settings_nor_credentials() -> None:
    pod = patch(OWN, sources=sources(MANY, env_from=("aws-env",)))

    assert {key: value for key, value in pod["spec"].items() if key not in {"volumes", "initContainers"}} == {
        key: value for key, value in patch(OWN)["spec"].items() if key not in {"volumes", "initContainers"}
    }
    assert pod["spec"]["initContainers"][1:] == OWN["spec"]["initContainers"]


@pytest.mark.parametrize("settings", [SourceSettings(), read_sources(b'{"version": 1}')])
def test_pods_without_settings_have_nothing_of_them(settings: SourceSettings) -> None:
    assert patch(OWN, sources=pod_sources(settings)) == patch(OWN)


def test_a_config_map_of_the_operators_replaces_the_annotation_and_the_secrets_stay() -> None:
    with_annotation = patch(OWN, sources=sources(S3))
    pod = patch(OWN, sources=sources(S3, config_map="site-sources"))

    assert "spark-staging.io/sources" not in pod["metadata"]["annotations"]
    volumes = named(pod["spec"]["volumes"])
    assert volumes["spark-staging-sources"] == {
        "name": "spark-staging-sources",
        "configMap": {
            "name": "site-sources",
            "defaultMode": 0o444,
            "items": [{"key": "sources.json", "path": "sources.json"}],
        },
    }
    name = "spark-staging-source-secrets"
    assert volumes[name] == named(with_annotation["spec"]["volumes"])[name]
    assert init_of(pod)["volumeMounts"] == init_of(with_annotation)["volumeMounts"]


def test_secrets_can_become_variables_of_the_init_container() -> None:
    pod = patch(sources=sources({}, env_from=("aws-env", "more")))

    assert init_of(pod)["envFrom"] == [{"secretRef": {"name": "aws-env"}}, {"secretRef": {"name": "more"}}]
    assert "envFrom" not in init_of(patch())


def test_annotations_that_kubernetes_would_refuse_are_refused_with_the_way_out() -> None:
    mirrors = [{"prefix": f"https://a{number}.example/", "to": ["https://b.example/"]} for number in range(2600)]
    assert len(json.dumps(mirrors)) < MAX_ANNOTATIONS
    patch(sources=sources({"mirrors": mirrors}))
    own = {"metadata": {"annotations": {"notes": "n" * 100_000}}}

    with pytest.raises(InvalidRequest, match="--sources-config-map"):
        patch(own, sources=sources({"mirrors": mirrors}))


ADDED: Template = {
    "name": "spark-staging-init",
    "env": [{"name": "SPARK_STAGING_DEADLINE", "value": "60"}],
    "envFrom": [{"secretRef": {"name": "mine"}}],
    "volumeMounts": [{"name": "scratch", "mountPath": "/etc/pki"}],
}


def test_the_users_template_can_add_variables_and_mounts_to_our_init_container() -> None:
    own = with_(["spec", "initContainers"], [ADDED, *OWN["spec"]["initContainers"]])
    plain = patch(OWN, sources=sources({}, env_from=("first",)))
    pod = patch(own, sources=sources({}, env_from=("first",)))

    init, ours = init_of(pod), init_of(plain)
    assert init == {
        **ours,
        "env": [*ours["env"], *ADDED["env"]],
        "envFrom": [*ours["envFrom"], *ADDED["envFrom"]],
        "volumeMounts": [*ours["volumeMounts"], *ADDED["volumeMounts"]],
    }
    assert pod["spec"]["initContainers"][1:] == plain["spec"]["initContainers"][1:]


@pytest.mark.parametrize(
    ("added", "names"),
    [
        ({"image": "evil"}, ["image", "only env, envFrom, volumeMounts"]),
        ({"securityContext": {}, "command": ["sh"]}, ["command, securityContext"]),
        ({"env": [{"name": "SPARK_STAGING_URL", "value": "x"}]}, ["SPARK_STAGING_URL"]),
        ({"volumeMounts": [{"name": "mine", "mountPath": "/etc/spark-staging/x"}]}, ["mine", "spark-staging-sources"]),
        ({"volumeMounts": [{"name": "scratch", "mountPath": "/var/run/secrets"}]}, ["scratch", "spark-staging-token"]),
    ],
)  # fmt: skip
def test_what_our_init_container_is_cannot_be_changed(added: Template, names: list[str]) -> None:
    own = with_(["spec", "initContainers"], [{"name": "spark-staging-init", **added}])

    with pytest.raises(InvalidRequest) as caught:
        patch(own, sources=sources(S3))

    for name in names:
        assert name in caught.value.detail


def test_a_volume_of_the_user_with_a_name_of_ours_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="spark-staging-source-secrets"):
        patch(with_(["spec", "volumes", 0, "name"], "spark-staging-source-secrets"), sources=sources(S3))
