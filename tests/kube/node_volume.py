"""A volume for clusters that provide none: a folder of one node, which outlives the server's pod."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from tests.kube.cluster import Cluster
from tests.kube.processes import CommandFailedError

PARENT: Final = "/var/tmp"  # noqa: S108 - of the node, which keeps it over restarts
GROUP: Final = "65532"
"""That of the server's image."""


@contextlib.contextmanager
def node_volume(cluster: Cluster, *, claim: str, image: str) -> Iterator[None]:
    """Make a volume for a claim of the namespace, and remove it with what is in it; by then nothing may use it.

    `image` is one with the usual programs, for pods that make and remove the folder.
    """
    node = cluster.a_node()["metadata"]
    name = f"{cluster.namespace}-data"
    folder = f"{PARENT}/{name}"
    _run_on(node["name"], "install", "-d", "-m", "0770", "-g", GROUP, folder, cluster=cluster, image=image)
    host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node["labels"]["kubernetes.io/hostname"]]}
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": cluster.namespace, "name": claim},
        "local": {"path": folder},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
    }
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    try:
        yield
    finally:
        _run_on(node["name"], "rm", "-rf", folder, cluster=cluster, image=image)
        cluster.kubectl("delete", "persistentvolume", name, "--wait=false")


def _run_on(node: str, *command: str, cluster: Cluster, image: str) -> None:
    """Run a command as root on a node that sees its files."""
    pod = f"on-node-{command[0]}"
    container: dict[str, Any] = {
        "name": "command",
        "image": image,
        "command": list(command),
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "volumeMounts": [{"name": "parent", "mountPath": PARENT}],
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "parent", "hostPath": {"path": PARENT}}],
    }
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec})
    cluster.wait_for_end(pod)
    if cluster.phase(pod) != "Succeeded":
        msg = f"{' '.join(command)} failed on node {node}\n{cluster.logs(pod)}"
        raise CommandFailedError(msg)
