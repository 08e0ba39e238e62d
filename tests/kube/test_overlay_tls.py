"""The patch that gives the embedded server TLS, without a cluster: it fits what it patches, and settings that exist."""

from pathlib import PurePosixPath
from typing import Any

import yaml

from staging_server.settings import Settings
from tests.kube.installation import EMBEDDED
from tests.kube.test_overlay import PREFIX, deployment, has_field

TLS = EMBEDDED.parent / "embedded-tls"
SECRET = {"tls.crt", "tls.key", "ca.crt"}


def _patch() -> dict[str, Any]:
    return dict(yaml.safe_load((TLS / "tls.yaml").read_text()))


def _container(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _environment() -> list[dict[str, Any]]:
    return list(_container(_patch())["env"])


def test_it_patches_the_embedded_deployment() -> None:
    overlay = yaml.safe_load((TLS / "kustomization.yaml").read_text())
    assert overlay["resources"] == ["../embedded"]
    assert overlay["patchesStrategicMerge"] == ["tls.yaml"]
    patch, whole = _patch(), deployment()
    for path in (("kind",), ("metadata", "name")):
        found = [patch, whole]
        for key in path:
            found = [manifest[key] for manifest in found]
        assert found[0] == found[1]
    assert _container(patch)["name"] == _container(whole)["name"]


def test_every_setting_exists_and_names_an_entry_of_the_mounted_secret() -> None:
    (mount,) = _container(_patch())["volumeMounts"]
    (volume,) = _patch()["spec"]["template"]["spec"]["volumes"]
    assert (mount["name"], mount["readOnly"], "subPath" in mount) == (volume["name"], True, False)
    files = []
    for item in _environment():
        if item["name"].startswith(PREFIX):
            assert has_field(Settings, item["name"].removeprefix(PREFIX).lower().split("__")), item["name"]
            files += [PurePosixPath(item["value"])] if item["name"].endswith("_FILE") else []
    assert {file.name for file in files} == SECRET
    assert {str(file.parent) for file in files} == {mount["mountPath"]}


def test_names_stand_above_the_values_that_use_them() -> None:
    # kustomize puts the entries of a patch before those that it leaves as they are.
    names = [item["name"] for item in _environment()]
    (url,) = [item for item in _environment() if item["name"] == f"{PREFIX}POD_URL"]
    assert url["value"].startswith("https://")
    assert "$(NAMESPACE)" in url["value"]
    assert names.index("NAMESPACE") < names.index(url["name"])


def test_every_probe_speaks_https() -> None:
    probes = {"startupProbe", "livenessProbe", "readinessProbe"}
    patch, whole = _container(_patch()), _container(deployment())
    assert probes == {name for name in whole if name.endswith("Probe")}
    for name in probes:
        assert patch[name]["httpGet"] == {**whole[name]["httpGet"], "scheme": "HTTPS"}
