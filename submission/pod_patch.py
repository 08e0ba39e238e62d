"""Pod templates with our init container and volumes, merged with the user's own.  Pure.

Lists are merged by name.  Ours come first, so that the user's own init containers find the dependencies; everything of
the user is kept.  Where both claim one name, mount path, label or working folder, an error names both.

Templates are plain dictionaries as YAML gives them.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from staging_protocol import pod_contract
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import FilesIn, Role
from staging_protocol.tokens import BundleId

Template = dict[str, Any]

CONTAINERS: Final = {Role.DRIVER: "spark-kubernetes-driver", Role.EXECUTOR: "spark-kubernetes-executor"}
"""Spark's own names for its container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitResources:
    """Requests and limits of the init container."""

    cpu_request: str = "100m"
    memory_request: str = "64Mi"
    cpu_limit: str = "1"
    memory_limit: str = "128Mi"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodBundle:
    """What a pod has to know of its bundle.

    Attributes:
        id: of the bundle.
        namespace: of the bundle and the pod.
        url: of the server, as pods reach it.
        manifest_digest: kept as annotation.
        image: of the init container.
        allow_plain_http: whether the token may go over plain HTTP.
        token_audience: pods show their own tokens, made for it; None: the bundle token, which a Secret has.
        ca: PEM text of the server's authority, for pods without that Secret.
    """

    id: BundleId
    namespace: str
    url: str
    manifest_digest: Digest
    image: str
    allow_plain_http: bool = False
    token_audience: str | None = None
    ca: str | None = None
    resources: InitResources = field(default_factory=InitResources)


def patched(
    template: Mapping[str, Any] | None,
    *,
    bundle: PodBundle,
    role: Role,
    files_in: FilesIn,
    container: str | None = None,
) -> Template:
    """Return the user's `template` (None: an empty one) with what the bundle needs.

    Args:
        template: the user's own.
        bundle: what to resolve.
        role: which pod it is for.
        files_in: where dependencies of kind `file` go.
        container: `spark.kubernetes.{driver,executor}.podTemplateContainerName`.

    Raises:
        InvalidRequest: the template is no pod, or something in it conflicts with ours.
    """
    pod: Template = deepcopy(dict(template or {}))
    if pod.get("kind", "Pod") != "Pod" or not isinstance(pod.get("spec") or {}, dict):
        msg = f"the {role} template is not a Pod, but {pod.get('kind', 'something without a spec')}"
        raise InvalidRequest(msg)
    pod.setdefault("apiVersion", "v1")
    pod.setdefault("kind", "Pod")
    spec = pod["spec"] = dict(pod.get("spec") or {})
    _label(pod, bundle=bundle, role=role)
    spec["volumes"] = _joined(_volumes(bundle), spec.get("volumes"), what="volume", role=role)
    init = _init_container(bundle, role=role, files_in=files_in)
    spec["initContainers"] = _joined([init], spec.get("initContainers"), what="init container", role=role)
    containers = spec["containers"] = [dict(item) for item in spec.get("containers") or [{"name": CONTAINERS[role]}]]
    _mount(_spark_container(containers, name=container, role=role), role=role)
    return pod


def python_path_of(template: Mapping[str, Any] | None, *, role: Role, container: str | None = None) -> str | None:
    """Return the PYTHONPATH that the user's template gives the Spark container, which our property would replace."""
    containers = [dict(item) for item in ((template or {}).get("spec") or {}).get("containers") or []]
    if not containers:
        return None
    env = _spark_container(containers, name=container, role=role).get("env") or []
    return next((str(item["value"]) for item in env if item.get("name") == "PYTHONPATH" and item.get("value")), None)


# --- what is ours ----------------------------------------------------------------------------------------------------


def _volumes(bundle: PodBundle) -> list[Template]:
    return [
        {"name": pod_contract.DATA_VOLUME, "emptyDir": {}},
        {"name": pod_contract.WORK_VOLUME, "emptyDir": {}},
        {"name": pod_contract.SECRET_VOLUME, **_token_source(bundle)},
        {"name": pod_contract.NO_API_TOKEN_VOLUME, "emptyDir": {}},
    ]


def _token_source(bundle: PodBundle) -> Template:
    """Return what the volume with token and authority is made of."""
    if bundle.token_audience is None:
        return {"secret": {"secretName": pod_contract.secret_name(bundle.id), "defaultMode": 0o444}}
    token = {
        "audience": bundle.token_audience,
        "expirationSeconds": pod_contract.TOKEN_SECONDS,
        "path": pod_contract.TOKEN_KEY,
    }
    sources: list[Template] = [{"serviceAccountToken": token}]
    if bundle.ca is not None:
        # An authority is no secret: as an annotation it needs no object of its own, and nobody to delete that.
        field_path = f"metadata.annotations['{pod_contract.CA_ANNOTATION}']"
        item = {"path": pod_contract.CA_KEY, "fieldRef": {"fieldPath": field_path}}
        sources.append({"downwardAPI": {"items": [item]}})
    return {"projected": {"defaultMode": 0o444, "sources": sources}}


def _init_container(bundle: PodBundle, *, role: Role, files_in: FilesIn) -> Template:
    resources = bundle.resources
    return {
        "name": pod_contract.INIT_CONTAINER,
        "image": bundle.image,
        "env": _environment(bundle, role=role, files_in=files_in),
        "resources": {
            "requests": {"cpu": resources.cpu_request, "memory": resources.memory_request},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
        },
        # No runAsUser: the image has a numeric one, and some clusters assign their own.
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": pod_contract.TERMINATION_MESSAGE,
        "volumeMounts": [
            _mount_of(pod_contract.DATA_VOLUME, pod_contract.DATA_FOLDER),
            _mount_of(pod_contract.WORK_VOLUME, pod_contract.WORK_FOLDER),
            _mount_of(pod_contract.SECRET_VOLUME, pod_contract.SECRET_FOLDER, read_only=True),
            # The init container has no business with the Kubernetes API: an empty folder hides the pod's token.
            _mount_of(pod_contract.NO_API_TOKEN_VOLUME, pod_contract.API_TOKEN_FOLDER, read_only=True),
        ],
    }


def _environment(bundle: PodBundle, *, role: Role, files_in: FilesIn) -> list[Template]:
    env: list[Template] = [
        {"name": pod_contract.ENV_URL, "value": bundle.url},
        {"name": pod_contract.ENV_BUNDLE, "value": str(bundle.id)},
        {"name": pod_contract.ENV_NAMESPACE, "value": bundle.namespace},
        {"name": pod_contract.ENV_ROLE, "value": str(role)},
        {"name": pod_contract.ENV_FILES_IN, "value": str(files_in)},
        {"name": pod_contract.ENV_POD, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    if bundle.allow_plain_http:
        env.append({"name": pod_contract.ENV_ALLOW_PLAIN_HTTP, "value": "true"})
    return env


def _mount_of(volume: str, path: str, *, read_only: bool = False) -> Template:
    return {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}


# --- merging ---------------------------------------------------------------------------------------------------------


def _label(pod: Template, *, bundle: PodBundle, role: Role) -> None:
    metadata = pod["metadata"] = dict(pod.get("metadata") or {})
    wanted = [
        ("labels", pod_contract.LABEL, str(bundle.id)),
        ("annotations", pod_contract.MANIFEST_ANNOTATION, str(bundle.manifest_digest)),
    ]
    if bundle.token_audience is not None and bundle.ca is not None:
        wanted.append(("annotations", pod_contract.CA_ANNOTATION, bundle.ca))
    for field_name, key, value in wanted:
        own = metadata[field_name] = dict(metadata.get(field_name) or {})
        if own.get(key, value) != value:
            msg = f"the {role} template has {key}={own[key]} among its {field_name}, which we set to {value}; remove it"
            raise InvalidRequest(msg)
        own[key] = value


def _joined(ours: Sequence[Template], own: Any, *, what: str, role: Role) -> list[Template]:
    names = {str(item["name"]) for item in ours}
    for item in own or []:
        if item.get("name") in names:
            msg = f"the {role} template has a {what} {item['name']!r}, which is a name of ours; rename it"
            raise InvalidRequest(msg)
    return [*ours, *(own or [])]


def _spark_container(containers: list[Template], *, name: str | None, role: Role) -> Template:
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


def _mount(container: Template, *, role: Role) -> None:
    folder = container.get("workingDir", pod_contract.WORK_FOLDER)
    if folder != pod_contract.WORK_FOLDER:
        msg = (
            f"the {role} template sets workingDir {folder}, but files and archives are in {pod_contract.WORK_FOLDER}; "
            "remove it"
        )
        raise InvalidRequest(msg)
    ours = [
        _mount_of(pod_contract.DATA_VOLUME, pod_contract.DATA_FOLDER, read_only=True),
        _mount_of(pod_contract.WORK_VOLUME, pod_contract.WORK_FOLDER),
    ]
    own = container.get("volumeMounts") or []
    for mount in own:
        for other in ours:
            _check_apart(mount, other=other, role=role)
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
