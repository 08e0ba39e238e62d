"""The manifests, without a cluster: what they promise, and that they speak of settings that exist."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from staging_server.settings import Settings
from tests.kube.evidence import unrestricted
from tests.kube.images import Image
from tests.kube.installation import EMBEDDED, IN_THE_POD, overlay

PREFIX = "SPARK_STAGING_SERVER_"


def deployment() -> dict[str, Any]:
    """Return the Deployment of the embedded overlay."""
    return dict(yaml.safe_load((EMBEDDED / "deployment.yaml").read_text()))


def environment() -> dict[str, str]:
    """Return the settings that the Deployment gives to the server."""
    container = deployment()["spec"]["template"]["spec"]["containers"][0]
    return {item["name"]: item.get("value", "") for item in container["env"] if item["name"].startswith(PREFIX)}


def has_field(model: type[BaseModel], path: list[str]) -> bool:
    """Whether a group of settings has a field, by its names from the outside in."""
    field = model.model_fields.get(path[0])
    if field is None or len(path) == 1:
        return field is not None
    group = field.annotation
    return isinstance(group, type) and issubclass(group, BaseModel) and has_field(group, path[1:])


def test_every_variable_of_the_deployment_is_a_setting_of_the_server() -> None:
    names = [name.removeprefix(PREFIX).lower().split("__") for name in environment()]
    assert [name for name in names if not has_field(Settings, name)] == []


def test_the_server_in_a_cluster_never_runs_without_authentication() -> None:
    assert environment()[f"{PREFIX}AUTH__MODE"] == "tokens"


def test_there_is_never_a_second_writer() -> None:
    spec = deployment()["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_pod_fits_the_restricted_standard() -> None:
    assert unrestricted(deployment()["spec"]["template"], container="server") == []


def test_the_kubelet_waits_longer_than_the_server_takes_to_end() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    before = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert before + Settings().timeouts.shutdown < pod["terminationGracePeriodSeconds"]


def test_no_secret_is_among_the_manifests() -> None:
    kinds = [manifest["kind"] for path in EMBEDDED.glob("*.yaml") for manifest in yaml.safe_load_all(path.read_text())]
    assert "Deployment" in kinds
    assert "Secret" not in kinds


def test_an_image_from_a_registry_with_a_port_keeps_its_name() -> None:
    image = Image(name="registry:5000/team/spark-staging/server:abc", context=Path(), dockerfile=Path())
    made = yaml.safe_load(overlay("jobs", server=image, base="../embedded"))
    assert made["images"] == [
        {"name": "spark-staging/server", "newName": "registry:5000/team/spark-staging/server", "newTag": "abc"}
    ]
    assert "patchesStrategicMerge" not in made


def test_the_patch_for_clusters_without_volumes_names_what_is_there() -> None:
    patch, whole = yaml.safe_load(IN_THE_POD), deployment()
    assert patch["metadata"]["name"] == whole["metadata"]["name"]
    volumes = {volume["name"] for volume in whole["spec"]["template"]["spec"]["volumes"]}
    assert {volume["name"] for volume in patch["spec"]["template"]["spec"]["volumes"]} <= volumes
