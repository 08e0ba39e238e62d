"""Pods as Kubernetes has them, made in a few words."""

from typing import Any

from staging_protocol.pod_contract import INIT_CONTAINER

SPARK = "spark-kubernetes-driver"
LABELS = {"spark-role": "driver", "spark-app-selector": "spark-1", "spark-app-name": "nightly"}


def pod(
    *, name: str = "nightly-driver", labels: dict[str, str] | None = None, status: dict[str, Any] | None = None,
    node: str | None = None, **metadata: Any,
) -> dict[str, Any]:  # fmt: skip
    """A driver's pod with our init container."""
    spec = {
        "initContainers": [{"name": INIT_CONTAINER, "image": "init"}],
        "containers": [{"name": SPARK, "image": "spark:4.3.0"}],
        **({"nodeName": node} if node else {}),
    }
    made = {"name": name, "namespace": "jobs", "uid": f"uid-{name}", "labels": labels or LABELS}
    made["creationTimestamp"] = "2026-03-01T10:00:00Z"
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {**made, **metadata}, "spec": spec, "status": status or {},
    }  # fmt: skip


def executor(number: int, **more: Any) -> dict[str, Any]:
    """An executor of the same application."""
    labels = {"spark-role": "executor", "spark-app-selector": "spark-1", "spark-exec-id": str(number)}
    return pod(name=f"nightly-exec-{number}", labels=labels, **more)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def ended(code: int, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "startedAt": "2026-03-01T10:00:05Z", **more}}


def statuses(*, init: dict[str, Any] | None = None, spark: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A status with the states of both containers."""
    found: dict[str, Any] = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}
    if init is not None:
        found["initContainerStatuses"] = [{"name": INIT_CONTAINER, "state": init}]
    if spark is not None:
        found["containerStatuses"] = [{"name": SPARK, "state": spark}]
    return {**found, **more}
