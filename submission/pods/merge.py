"""What is ours, joined with a pod template of the user's.  Pure.

Lists are merged by name.  Ours come first, so that the user's own init containers find the dependencies; everything of
the user is kept.  Where both claim one name, mount path, label or working folder, an error names both.

An init container of the user's with the name of ours adds to ours: variables, and mounts of the user's own volumes.

Templates are plain dictionaries as YAML gives them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from staging_protocol import pod_contract
from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import Role

Template = dict[str, Any]

CONTAINERS: Final = {Role.DRIVER: "spark-kubernetes-driver", Role.EXECUTOR: "spark-kubernetes-executor"}
"""Spark's own names for its container."""

_ADDITIONS: Final = ("env", "envFrom", "volumeMounts")
"""Fields that the user may add to our init container; what it runs and what it may do stays ours."""


def label(pod: Template, *, labels: Mapping[str, str], annotations: Mapping[str, str], role: Role) -> None:
    """Put labels and annotations on the pod."""
    metadata = pod["metadata"] = dict(pod.get("metadata") or {})
    for field_name, ours in (("labels", labels), ("annotations", annotations)):
        own = metadata[field_name] = dict(metadata.get(field_name) or {})
        for key, value in ours.items():
            if own.get(key, value) != value:
                msg = (
                    f"the {role} template has {key}={own[key]} among its {field_name}, which we set to {value}; "
                    "remove it"
                )
                raise InvalidRequest(msg)
            own[key] = value


def joined(ours: Sequence[Template], own: Any, *, what: str, role: Role) -> list[Template]:
    """Return ours and the user's own, which must not have names of ours."""
    names = {str(item["name"]) for item in ours}
    for item in own or []:
        if item.get("name") in names:
            msg = f"the {role} template has a {what} {item['name']!r}, which is a name of ours; rename it"
            raise InvalidRequest(msg)
    return [*ours, *(own or [])]


def init_containers(ours: Template, own: Any, *, role: Role) -> list[Template]:
    """Return our init container, with what the user adds to it, and then the user's own."""
    added = [item for item in own or [] if item.get("name") == ours["name"]]
    for item in added:
        ours = _with_additions(ours, item, role=role)
    return [ours, *(item for item in own or [] if item not in added)]


def _with_additions(ours: Template, added: Template, *, role: Role) -> Template:
    if foreign := sorted(added.keys() - {"name", *_ADDITIONS}):
        msg = (
            f"the {role} template sets {', '.join(foreign)} of the init container {ours['name']!r}, which is ours; "
            f"only {', '.join(_ADDITIONS)} can be added to it"
        )
        raise InvalidRequest(msg)
    for one in added.get("volumeMounts") or []:
        for other in ours["volumeMounts"]:
            _check_apart(one, other=other, role=role)
    variables = joined(ours["env"], added.get("env"), what="variable of our init container", role=role)
    merged = {**ours, "env": variables, "volumeMounts": [*ours["volumeMounts"], *(added.get("volumeMounts") or [])]}
    from_secrets = [*ours.get("envFrom", []), *(added.get("envFrom") or [])]
    return {**merged, "envFrom": from_secrets} if from_secrets else merged


def spark_container(containers: list[Template], *, name: str | None, role: Role) -> Template:
    """Return the container that Spark takes: the named one, else the first (`KubernetesUtils.selectSparkContainer`)."""
    if name is None:
        return containers[0]
    for container in containers:
        if container.get("name") == name:
            return container
    if len(containers) == 1 and containers[0] == {"name": CONTAINERS[role]}:
        containers[0]["name"] = name
        return containers[0]
    found = ", ".join(str(container.get("name")) for container in containers)
    msg = f"podTemplateContainerName is {name!r}, but the {role} template has only: {found}"
    raise InvalidRequest(msg)


def mount(ours: Sequence[Template], container: Template, *, role: Role) -> None:
    """Mount our volumes in Spark's container, which works in our folder."""
    folder = container.get("workingDir", pod_contract.WORK_FOLDER)
    if folder != pod_contract.WORK_FOLDER:
        msg = (
            f"the {role} template sets workingDir {folder}, but files and archives are in {pod_contract.WORK_FOLDER}; "
            "remove it"
        )
        raise InvalidRequest(msg)
    own = container.get("volumeMounts") or []
    for one in own:
        for other in ours:
            _check_apart(one, other=other, role=role)
    container["workingDir"] = pod_contract.WORK_FOLDER
    container["volumeMounts"] = [*ours, *own]


def _check_apart(mount: Mapping[str, Any], *, other: Mapping[str, Any], role: Role) -> None:
    # A mount inside another one is hidden or hides files, depending on the order in which the runtime does them.
    path = str(mount.get("mountPath", "")).rstrip("/") + "/"
    taken = f"{other['mountPath']}/"
    if path.startswith(taken) or taken.startswith(path):
        msg = (
            f"the {role} template mounts {mount.get('name')!r} at {mount.get('mountPath')}, "
            f"where our volume {other['name']!r} is ({other['mountPath']}); mount it elsewhere"
        )
        raise InvalidRequest(msg)
