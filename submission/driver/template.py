"""The pod template, in which one container becomes Spark's (`KubernetesUtils.selectSparkContainer`).  Pure."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from staging_protocol.errors import InvalidRequest
from submission.driver.job import KubeObject

CONTAINER_NAME: Final = "spark.kubernetes.driver.podTemplateContainerName"

_POD_SHAPE: Final = {
    "metadata": dict,
    "metadata.labels": dict,
    "metadata.annotations": dict,
    "spec": dict,
    "spec.nodeSelector": dict,
    "spec.containers": list,
    "spec.volumes": list,
    "spec.imagePullSecrets": list,
}
_CONTAINER_SHAPE: Final = {
    "resources": dict,
    "resources.requests": dict,
    "resources.limits": dict,
    "securityContext": dict,
    "args": list,
    "env": list,
    "ports": list,
    "volumeMounts": list,
}
"""What is added to has to be what it should be; the rest is the API server's to judge."""
_OF_OBJECTS: Final = frozenset({"spec.containers", "spec.volumes", "env", "ports", "volumeMounts"})
_WORDS: Final[dict[type, str]] = {dict: "a mapping", list: "a list"}


def taken_apart(template: KubeObject | None, *, container: str | None) -> tuple[KubeObject, KubeObject]:
    """Return the pod without Spark's container, and that container.

    Args:
        template: None for an empty one.
        container: name of Spark's container; else it is the first.

    Raises:
        InvalidRequest: the template is no pod, or has no container of that name.
    """
    pod = deepcopy(template or {})
    if pod.get("kind", "Pod") != "Pod":
        msg = f"the driver template is not a Pod, but {pod['kind']}; expected kind: Pod with a spec"
        raise InvalidRequest(msg)
    _check(pod, shape=_POD_SHAPE)
    spec = pod.get("spec") or {}
    containers = list(spec.get("containers") or [])
    chosen = _chosen(containers, name=container)
    _check(chosen, shape=_CONTAINER_SHAPE)
    others = [one for one in containers if one is not chosen]
    return {"apiVersion": "v1", "kind": "Pod", **pod, "spec": {**spec, "containers": others}}, chosen


def _check(value: KubeObject, *, shape: Mapping[str, type]) -> None:
    for path, expected in shape.items():
        found: Any = value
        for key in path.split("."):
            found = (found or {}).get(key)
        is_right = found is None or isinstance(found, expected)
        if is_right and path in _OF_OBJECTS:
            is_right = all(isinstance(one, dict) for one in found or [])
        if not is_right:
            entries = " of mappings" if path in _OF_OBJECTS else ""
            msg = f"the driver template has {path} = {found!r}; expected {_WORDS[expected]}{entries}"
            raise InvalidRequest(msg)


def _chosen(containers: list[KubeObject], *, name: str | None) -> KubeObject:
    if not containers:
        return {}
    if name is None:
        return containers[0]
    found = [one for one in containers if one.get("name") == name]
    if len(found) == 1:
        return found[0]
    # Stock Spark takes the first one instead, and says so in its log only.
    names = ", ".join(str(one.get("name")) for one in containers)
    msg = f"{CONTAINER_NAME}={name}, but the containers of the driver template are: {names}"
    raise InvalidRequest(msg)
