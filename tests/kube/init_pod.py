"""Pods that try what a real job's init container does, and never start anything else."""

import copy
from collections.abc import Mapping
from typing import Any

from staging_protocol.pod_contract import INIT_CONTAINER, SECRET_VOLUME
from tests.kube.cluster import Cluster
from tests.kube.evidence import InitOutcome, init_outcome


def try_to_read(
    cluster: Cluster,
    driver: Mapping[str, Any],
    *,
    name: str,
    secret: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> InitOutcome:
    """Start a pod with the driver's init container, perhaps with another Secret, and return how that one ended."""
    cluster.apply(_pod_like(driver, name=name, secret=secret, labels=labels or {}))
    cluster.wait_for_end(name)
    return init_outcome(cluster.get("pod", name), container=INIT_CONTAINER)


def _pod_like(driver: Mapping[str, Any], *, name: str, secret: str | None, labels: Mapping[str, str]) -> dict[str, Any]:
    init = next(item for item in copy.deepcopy(driver["spec"]["initContainers"]) if item["name"] == INIT_CONTAINER)
    mounted = {mount["name"] for mount in init["volumeMounts"]}
    volumes = [volume for volume in copy.deepcopy(driver["spec"]["volumes"]) if volume["name"] in mounted]
    for volume in volumes:
        if secret is not None and volume["name"] == SECRET_VOLUME:
            volume["secret"]["secretName"] = secret
    main = {"name": "never-started", "image": init["image"], "command": ["true"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {"initContainers": [init], "containers": [main], "volumes": volumes, "restartPolicy": "Never"},
    }
