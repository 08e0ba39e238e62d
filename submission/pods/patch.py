"""Pod templates with our init container and volumes, merged with the user's own.  Pure."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from staging_protocol import pod_contract
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import FilesIn, Role
from staging_protocol.tokens import BundleId
from submission.pods import sources
from submission.pods.merge import CONTAINERS, Template, init_containers, joined, label, mount, spark_container
from submission.pods.sources import NOTHING, PodSources


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
        sources: what remote dependencies need.
    """

    id: BundleId
    namespace: str
    url: str
    manifest_digest: Digest
    image: str
    allow_plain_http: bool = False
    token_audience: str | None = None
    ca: str | None = None
    sources: PodSources = NOTHING
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
    kind = pod.get("kind", "Pod")
    if kind != "Pod" or not isinstance(pod.get("spec") or {}, dict):
        found = kind if kind != "Pod" else "something without a spec"
        msg = f"the {role} template is not a Pod, but {found}; expected kind: Pod with a spec"
        raise InvalidRequest(msg)
    pod.setdefault("apiVersion", "v1")
    pod.setdefault("kind", "Pod")
    spec = pod["spec"] = dict(pod.get("spec") or {})
    label(pod, labels={pod_contract.LABEL: str(bundle.id)}, annotations=_annotations(bundle), role=role)
    sources.check_annotations(pod["metadata"]["annotations"])
    spec["volumes"] = joined(_volumes(bundle), spec.get("volumes"), what="volume", role=role)
    init = _init_container(bundle, role=role, files_in=files_in)
    spec["initContainers"] = init_containers(init, spec.get("initContainers"), role=role)
    containers = spec["containers"] = [dict(item) for item in spec.get("containers") or [{"name": CONTAINERS[role]}]]
    mount(_spark_mounts(), spark_container(containers, name=container, role=role), role=role)
    return pod


def python_path_of(template: Mapping[str, Any] | None, *, role: Role, container: str | None = None) -> str | None:
    """Return the PYTHONPATH that the user's template gives the Spark container, which our property would replace."""
    containers = [dict(item) for item in ((template or {}).get("spec") or {}).get("containers") or []]
    if not containers:
        return None
    env = spark_container(containers, name=container, role=role).get("env") or []
    return next((str(item["value"]) for item in env if item.get("name") == "PYTHONPATH" and item.get("value")), None)


# --- what is ours ----------------------------------------------------------------------------------------------------


def _mount_of(volume: str, path: str, *, read_only: bool = False) -> Template:
    return {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}


def _spark_mounts() -> list[Template]:
    return [
        _mount_of(pod_contract.DATA_VOLUME, pod_contract.DATA_FOLDER, read_only=True),
        _mount_of(pod_contract.WORK_VOLUME, pod_contract.WORK_FOLDER),
    ]


def _annotations(bundle: PodBundle) -> dict[str, str]:
    found = {pod_contract.MANIFEST_ANNOTATION: str(bundle.manifest_digest), **sources.annotations(bundle.sources)}
    if bundle.token_audience is not None and bundle.ca is not None:
        found[pod_contract.CA_ANNOTATION] = bundle.ca
    return found


def _volumes(bundle: PodBundle) -> list[Template]:
    return [
        {"name": pod_contract.DATA_VOLUME, "emptyDir": {}},
        {"name": pod_contract.WORK_VOLUME, "emptyDir": {}},
        {"name": pod_contract.SECRET_VOLUME, **_token_source(bundle)},
        {"name": pod_contract.NO_API_TOKEN_VOLUME, "emptyDir": {}},
        *sources.volumes(bundle.sources),
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
        **_environment_from(bundle.sources),
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
            *sources.mounts(bundle.sources),
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


def _environment_from(sources: PodSources) -> Template:
    return {"envFrom": [{"secretRef": {"name": name}} for name in sources.env_from]} if sources.env_from else {}
