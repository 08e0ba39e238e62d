"""The few calls to the Kubernetes API that `run` needs: one Secret, and the driver's pod.

The identity is that of kubectl (kubeconfig, or the pod's own), as for spark-submit.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from staging_protocol import pod_contract
from staging_protocol.errors import NotFound
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from submission.kube_calls import ask
from submission.kube_identity import at_address, load_identity


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverPod:
    """The driver's pod."""

    name: str
    uid: str

    def as_owner(self) -> OwnerReference:
        """Return the reference with which the server knows it."""
        return OwnerReference(api_version="v1", kind="Pod", name=self.name, uid=self.uid)


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, api: Any, *, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def create_secret(self, secret: Mapping[str, Any]) -> None:
        """Create a Secret."""
        self._ask("create secrets", self._api.create_namespaced_secret, self._namespace, secret)

    def delete_secret(self, bundle: BundleId) -> None:
        """Delete the bundle's Secret, if it is there."""
        # A Secret that is gone already is as good.
        with suppress(NotFound):
            name = pod_contract.secret_name(bundle)
            self._ask("delete secrets", self._api.delete_namespaced_secret, name, self._namespace)

    def own_secret(self, bundle: BundleId, *, pod: DriverPod) -> None:
        """Make the driver's pod the owner of the Secret, so that they go together."""
        owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        change = {"metadata": {"ownerReferences": [owner]}}
        name = pod_contract.secret_name(bundle)
        self._ask("patch secrets", self._api.patch_namespaced_secret, name, self._namespace, change)

    def driver_pod(self, bundle: BundleId) -> DriverPod | None:
        """Return the driver's pod of the bundle, when there is one."""
        selector = f"{pod_contract.LABEL}={bundle},spark-role=driver"
        pods = self._ask("list pods", self._api.list_namespaced_pod, self._namespace, label_selector=selector, limit=1)
        items = pods.get("items") or []
        if not items:
            return None
        metadata = items[0]["metadata"]
        return DriverPod(name=metadata["name"], uid=metadata["uid"])

    def _ask(self, what: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> dict[str, Any]:
        return ask(f"{what} in namespace {self._namespace}", call, *arguments, address_from="--master", **options)


@contextmanager
def cluster(*, kubeconfig: str | None, context: str | None, master: str, namespace: str) -> Iterator[Cluster]:
    """Yield the namespace of the cluster to which spark-submit will talk.

    Args:
        kubeconfig: as KUBECONFIG has it.
        context: of the kubeconfig; None for the current one.
        master: Spark's master, whose address wins over that of the kubeconfig, as in spark-submit.
        namespace: of the job.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    from kubernetes import client

    identity = load_identity(kubeconfig=kubeconfig, context=context)
    address = master.removeprefix("k8s://")
    settings = at_address(address if "://" in address else f"https://{address}", identity=identity)
    with client.ApiClient(settings) as api:
        yield Cluster(client.CoreV1Api(api), namespace=namespace)
