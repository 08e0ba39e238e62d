"""Pods under the profile `restricted` of Kubernetes' Pod Security Standards: ours made so, the user's own judged.

What Spark's container lacks is added; of what the user's template says nothing is changed, only told.  Pure.

Source of the rules: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from staging_protocol.errors import RefusedByPolicy
from staging_protocol.pod_contract import Role
from submission.pods.merge import CONTAINERS, Template, spark_container

SPARK_USER: Final = 185
"""User id of Spark's own images; their USER is a name, of which the kubelet cannot tell that it is not root."""

_OPENSHIFT_USERS: Final = "openshift.io/sa.scc.uid-range"
"""Annotation of a namespace: its range of user ids, https://docs.openshift.com (security context constraints)."""

_VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})
_HOST_NAMESPACES: Final = ("hostNetwork", "hostPID", "hostIPC")
_SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip
_FORBIDDEN_VOLUMES: Final = tuple(f"spark.kubernetes.executor.volumes.{kind}." for kind in ("hostPath", "nfs"))
"""Of the types of volumes that Spark makes, those that the profile does not allow."""
_ESCALATION: Final = (
    "spark.kubernetes.executor.securityContext.allowPrivilegeEscalation",
    "spark.kubernetes.securityContext.allowPrivilegeEscalation",
)
_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")


def user_for(namespace: Mapping[str, Any]) -> int | None:
    """Return the user of Spark's container in a namespace; None where the cluster itself gives pods users.

    OpenShift does, from a range that the namespace's annotation has, and refuses pods that name another.
    """
    annotations = (namespace.get("metadata") or {}).get("annotations") or {}
    return None if _OPENSHIFT_USERS in annotations else SPARK_USER


def restricted(
    template: Mapping[str, Any] | None, *, role: Role, container: str | None, user: int | None = SPARK_USER
) -> Template:
    """Return the template with what the profile asks of the pod and of Spark's container, where nothing is said.

    Args:
        template: of the pod; None: there is none.
        role: of the pod.
        container: `spark.kubernetes.{driver,executor}.podTemplateContainerName`.
        user: of Spark's container, where nobody names one; None: the cluster gives it one.
    """
    pod: Template = deepcopy(dict(template or {"apiVersion": "v1", "kind": "Pod"}))
    spec = pod["spec"] = dict(pod.get("spec") or {})
    context = spec["securityContext"] = dict(spec.get("securityContext") or {})
    context.setdefault("runAsNonRoot", True)
    context.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    containers = spec["containers"] = [dict(item) for item in spec.get("containers") or [{"name": CONTAINERS[role]}]]
    spark = spark_container(containers, name=container, role=role)
    own = spark["securityContext"] = dict(spark.get("securityContext") or {})
    own.setdefault("allowPrivilegeEscalation", False)
    own.setdefault("capabilities", {"drop": ["ALL"]})
    if user is not None and "runAsUser" not in context:
        own.setdefault("runAsUser", user)
    return pod


def check_executors(properties: Mapping[str, str]) -> None:
    """Refuse properties with which Spark itself makes executors that the profile does not allow.

    Raises:
        RefusedByPolicy: with all of them.
    """
    found = sorted(key for key in properties if key.startswith(_FORBIDDEN_VOLUMES))
    found += [key for key in _ESCALATION if properties.get(key, "false").strip().lower() == "true"]
    if found:
        msg = f"the executors' pods would not pass the profile restricted, because of {', '.join(found)}; remove that"
        raise RefusedByPolicy(msg)


def check_restricted(pod: Mapping[str, Any], *, what: str) -> None:
    """Refuse a pod that the profile does not allow; `what` names it: `driver`.

    Raises:
        RefusedByPolicy: with all that is in the way.
    """
    found = list(violations(pod))
    if found:
        msg = f"the {what} pod does not pass the profile restricted: {'; '.join(found)}; change the pod template"
        raise RefusedByPolicy(msg)


def violations(pod: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the profile does not allow."""
    spec = pod.get("spec") or {}
    context = spec.get("securityContext") or {}
    yield from (f"{name} is true" for name in _HOST_NAMESPACES if spec.get(name))
    yield from _of_volumes(spec)
    yield from (
        f"sysctl {item.get('name')} is set" for item in context.get("sysctls") or [] if item.get("name") not in _SYSCTLS
    )
    yield from _of_context(context, where="the pod")
    for key in _LISTS:
        for container in spec.get(key) or []:
            yield from _of_container(container, pod_context=context)


def _of_volumes(spec: Mapping[str, Any]) -> Iterator[str]:
    for volume in spec.get("volumes") or []:
        for kind in sorted(volume.keys() - {"name", *_VOLUMES}):
            yield f"the volume {volume.get('name')} is of type {kind}"


def _of_container(container: Mapping[str, Any], *, pod_context: Mapping[str, Any]) -> Iterator[str]:
    where = f"the container {container.get('name')}"
    own = container.get("securityContext") or {}
    yield from _of_context(own, where=where)
    if own.get("privileged"):
        yield f"{where} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{where} does not set allowPrivilegeEscalation: false"
    yield from _of_capabilities(own.get("capabilities") or {}, where=where)
    if own.get("runAsNonRoot", pod_context.get("runAsNonRoot")) is not True:
        yield f"{where} does not set runAsNonRoot: true"
    seccomp = own.get("seccompProfile") or pod_context.get("seccompProfile") or {}
    if seccomp.get("type") not in _SECCOMP:
        yield f"{where} does not set seccompProfile to RuntimeDefault or Localhost"
    if own.get("procMount", "Default") != "Default":
        yield f"{where} sets procMount"
    yield from (
        f"{where} takes the port {port['hostPort']} of the node"
        for port in container.get("ports") or []
        if port.get("hostPort")
    )


def _of_capabilities(capabilities: Mapping[str, Any], *, where: str) -> Iterator[str]:
    if "ALL" not in (capabilities.get("drop") or []):
        yield f"{where} does not drop ALL capabilities"
    added = sorted(set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"})
    if added:
        yield f"{where} adds the capabilities {', '.join(added)}"


def _of_context(context: Mapping[str, Any], *, where: str) -> Iterator[str]:
    """Yield what a pod's context and a container's have in common."""
    if context.get("runAsUser") == 0:
        yield f"{where} runs as user 0"
    linux = context.get("seLinuxOptions") or {}
    if linux.get("type", "") not in _SELINUX_TYPES or linux.get("user") or linux.get("role"):
        yield f"{where} sets seLinuxOptions"
    if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
        yield f"{where} has no AppArmor profile"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{where} is a host process"
