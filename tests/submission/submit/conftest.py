"""`submit` before a real API server and a real staging server.

There is no kubelet and no controller: a pod stays Pending until a test says how it ended, and what a deleted owner
would take with it stays, so that what is gone was deleted by us.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import yaml
from kubernetes import client

from tests.services.kube_api import KubeApi
from tests.services.steps_proxy import StepsProxy, steps_proxy
from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import Command, Server, until

IMAGE: Final = ("--conf", "spark.kubernetes.container.image=spark:4.3.0")
CREATION: Final = [
    "POST secrets",
    "POST configmaps",
    "POST configmaps",
    "POST pods",
    "POST services",
    "POST networkpolicies",
    "PATCH secrets",
    "PATCH configmaps",
    "PATCH configmaps",
]
"""What changes the cluster, in its order: what the pod mounts is there before it, and owned by it in the end."""

KINDS: Final = ("pod", "service", "config_map", "secret", "persistent_volume_claim")


@dataclass(kw_only=True)
class Submitter:
    """`spark-staging submit` of one person in one namespace."""

    command: Command
    kube: KubeApi
    server: Server
    namespace: str
    master: str = ""
    options: tuple[str, ...] = field(default=("--class", "demo.Main", "--jars", "a.jar", "--files", "data.csv"))

    def arguments(self, *ours: str, app: tuple[str, ...] = ("app.jar", "10")) -> list[str]:
        master = ("--master", f"k8s://{self.master or self.kube.url}", "--deploy-mode", "cluster")
        return ["submit", *ours, *master, *IMAGE, "--conf", f"spark.kubernetes.namespace={self.namespace}",
                *self.options, *app]  # fmt: skip

    def submit(self, *ours: str) -> Any:
        return self.command.inside(*self.arguments(*ours))

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind that are ours."""
        listed = getattr(self.kube.core, f"list_namespaced_{kind}")(self.namespace)
        whole = self.kube.core.api_client.sanitize_for_serialization(listed)["items"]
        return [one for one in whole if "spark-staging.io/submission" in one["metadata"].get("labels", {})]

    def policies(self) -> list[Any]:
        networking = client.NetworkingV1Api(self.kube.core.api_client)
        return list(networking.list_namespaced_network_policy(self.namespace).items)

    def left(self) -> dict[str, list[str]]:
        """Return what there is of ours, in the cluster and on the staging server."""
        found = {kind: [one["metadata"]["name"] for one in self.objects(kind)] for kind in KINDS}
        found["network_policy"] = [one.metadata.name for one in self.policies()]
        found["bundle"] = [str(one.id) for one in self.server.client().bundles(self.namespace).bundles]
        return {kind: names for kind, names in found.items() if names}

    def driver(self) -> dict[str, Any]:
        (pod,) = self.objects("pod")
        return pod

    def finish(self, *, code: int = 0, node: str | None = None) -> None:
        """Let the driver end, as soon as it is there, with an exit code; on a node that nobody else knows."""
        reason = "Completed" if code == 0 else "Error"
        state = {"terminated": {"exitCode": code, "reason": reason, "startedAt": "2026-03-01T10:00:05Z"}}
        status = {
            "phase": "Succeeded" if code == 0 else "Failed",
            "containerStatuses": [
                {"name": "spark-kubernetes-driver", "image": "spark:4.3.0", "imageID": "", "ready": False,
                 "restartCount": 0, "state": state}
            ],
        }  # fmt: skip
        if node is not None:
            (pod,) = until(lambda: self.objects("pod"), what="the driver's pod")
            binding = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": node}}
            self.kube.core.create_namespaced_binding(self.namespace, binding, _preload_content=False)
        self._has(status)

    def fail_init(self, *, code: int, message: str) -> None:
        """Let the driver's init container fail, as soon as it is there."""
        state = {"terminated": {"exitCode": code, "reason": "Error", "message": message}}
        init = {"name": "spark-staging-init", "image": "init", "imageID": "", "ready": False, "restartCount": 0}
        self._has({"phase": "Failed", "initContainerStatuses": [{**init, "state": state}]})

    def _has(self, status: dict[str, Any]) -> None:
        (pod,) = until(lambda: self.objects("pod"), what="the driver's pod")
        self.kube.core.patch_namespaced_pod_status(pod["metadata"]["name"], self.namespace, {"status": status})


@pytest.fixture
def submitter(kube: KubeApi, server: Server, command: Command, tmp_path: Path) -> Iterator[Submitter]:
    """A person who may do everything in a namespace of the test."""
    with kube.namespace() as namespace:
        kube.core.create_namespaced_service_account(namespace, {"metadata": {"name": "default"}})
        for name in ("app.jar", "a.jar", "data.csv"):
            command.file(name, f"{name} {uuid4()}")
        command.environment["KUBECONFIG"] = str(kube.kubeconfig)
        yield Submitter(command=command, kube=kube, server=server, namespace=namespace)


@pytest.fixture
def cluster_proxy(submitter: Submitter, town: Cluster, tmp_path: Path) -> Iterator[StepsProxy]:
    """A proxy between the person, who may do everything, and the API server."""
    town.account(submitter.namespace, "person", role="cluster-admin")
    with through_proxy(submitter, town, tmp_path) as proxy:
        yield proxy


@contextmanager
def through_proxy(submitter: Submitter, town: Cluster, folder: Path) -> Iterator[StepsProxy]:
    """Put a proxy between the API server and the service account "person", who has a token."""
    content = yaml.safe_load(submitter.kube.kubeconfig.read_text())
    authority = Path(content["clusters"][0]["cluster"]["certificate-authority"])
    with steps_proxy(submitter.kube.url, authority=authority, is_step=is_change) as proxy:
        content["clusters"][0]["cluster"] = {"server": proxy.url}
        token = town.token(submitter.namespace, "person", audiences=())
        content["users"][0]["user"] = {"token": token}
        path = folder / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        submitter.command.environment |= {"KUBECONFIG": str(path), "SPARK_STAGING_RETRY_SECONDS": "0"}
        submitter.master = proxy.url
        yield proxy


def is_change(method: str, path: str) -> bool:
    return method in {"POST", "PATCH"} and "dryRun" not in path and "accessreviews" not in path
