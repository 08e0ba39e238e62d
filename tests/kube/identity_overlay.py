"""The manifests of deploy/kustomize/embedded-kubernetes for one installation of a test, beside which others may be.

ClusterRoles and their bindings belong to the whole cluster: here they are renamed, so that a server that somebody has
installed keeps its own.
"""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from tests.kube.images import Image
from tests.kube.installation import EMBEDDED, NAME, overlay
from tests.kube.processes import run

WITH_IDENTITY: Final = EMBEDDED.parent / "embedded-kubernetes"
RIGHTS_IN_A_NAMESPACE: Final = EMBEDDED.parent / "namespace-rights" / "role.yaml"
CLUSTER_WIDE: Final = frozenset({"ClusterRole", "ClusterRoleBinding"})
WATCH: Final = "spark-staging-server-watch"
CLOCK: Final = "moved-clock"
CLOCK_FOLDER: Final = "/etc/moved-clock"
MOVED: Final = "/tmp/moved-seconds"  # noqa: S108 - in the server's pod, where nobody else is

Manifest = dict[str, Any]


def manifests(namespace: str, *, server: Image, settings: Mapping[str, str]) -> list[Manifest]:
    """Return what the overlay makes for a namespace, with settings of the server besides those that it has."""
    with TemporaryDirectory(prefix="spark-staging-overlay-") as folder:
        base = os.path.relpath(WITH_IDENTITY, Path(folder).resolve())
        text = overlay(namespace, server=server, base=base, patch="test.yaml")
        Path(folder, "kustomization.yaml").write_text(text)
        Path(folder, "test.yaml").write_text(yaml.safe_dump(_patch(settings)))
        made = list(yaml.safe_load_all(run("kubectl", "kustomize", folder)))
    return as_own(made, namespace=namespace)


def rights_in(served: str, *, namespace: str) -> list[Manifest]:
    """Return the Role for a namespace that is served, and its binding to the server in `namespace`."""
    made = as_own(list(yaml.safe_load_all(RIGHTS_IN_A_NAMESPACE.read_text())), namespace=namespace)
    for manifest in made:
        manifest["metadata"]["namespace"] = served
    return made


def as_own(made: list[Manifest], *, namespace: str) -> list[Manifest]:
    """Return manifests whose cluster-wide objects have names, and whose accounts are, of this installation only.

    The kustomize in kubectl before 1.21 leaves the namespace of subjects as it is.
    """
    made = copy.deepcopy(made)
    own = {
        manifest["metadata"]["name"]: own_name(manifest["metadata"]["name"], namespace=namespace)
        for manifest in made
        if manifest["kind"] in CLUSTER_WIDE
    }
    for manifest in made:
        if manifest["kind"] in CLUSTER_WIDE:
            manifest["metadata"]["name"] = own[manifest["metadata"]["name"]]
        if "roleRef" in manifest:
            manifest["roleRef"]["name"] = own.get(manifest["roleRef"]["name"], manifest["roleRef"]["name"])
        for subject in manifest.get("subjects", ()):
            subject["namespace"] = namespace
    return made


def own_name(name: str, *, namespace: str) -> str:
    """Return the name of a cluster-wide object of the installation in `namespace`."""
    return f"{name}-{namespace}"


def _patch(settings: Mapping[str, str]) -> Manifest:
    """Return a patch of the Deployment: settings, and the clock that can be moved."""
    env = {**settings, "PYTHONPATH": CLOCK_FOLDER}
    container = {
        "name": "server",
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "volumeMounts": [{"name": "clock", "mountPath": CLOCK_FOLDER, "readOnly": True}],
    }
    pod = {"containers": [container], "volumes": [{"name": "clock", "configMap": {"name": CLOCK}}]}
    metadata = {"name": NAME}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": {"spec": pod}}}
