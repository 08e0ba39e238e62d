"""The few calls to the Kubernetes API that `run` needs: one Secret, and the driver's pod.

The identity is that of kubectl (kubeconfig, or the pod's own), as for spark-submit.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from staging_protocol import pod_contract
from staging_protocol.errors import NotFound
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from submission.kube.api import KubeApi
from submission.kube.connect import kube_api
from submission.kube.errors import AlreadyExists
from submission.kube.resources import PODS, SECRETS


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

    def __init__(self, api: KubeApi, *, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def create_secret(self, secret: Mapping[str, Any]) -> None:
        """Create a Secret."""
        try:
            self._api.create(secret)
        except AlreadyExists as error:
            # No other job has our bundle, so one that may be ours is ours.
            if not error.perhaps_ours:
                msg = f"{error.detail}; has this bundle been run before? Stage again"
                raise AlreadyExists(msg) from error

    def delete_secret(self, bundle: BundleId) -> None:
        """Delete the bundle's Secret, if it is there."""
        # A Secret that is gone already is as good.
        with suppress(NotFound):
            self._api.delete(SECRETS, pod_contract.secret_name(bundle), namespace=self._namespace)

    def own_secret(self, bundle: BundleId, *, pod: DriverPod) -> None:
        """Make the driver's pod the owner of the Secret, so that they go together."""
        owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        change = {"metadata": {"ownerReferences": [owner]}}
        self._api.merge(SECRETS, pod_contract.secret_name(bundle), change, namespace=self._namespace)

    def driver_pod(self, bundle: BundleId) -> DriverPod | None:
        """Return the driver's pod of the bundle, when there is one."""
        labels = f"{pod_contract.LABEL}={bundle},spark-role=driver"
        items = self._api.list(PODS, namespace=self._namespace, labels=labels, limit=1)["items"]
        if not items:
            return None
        metadata = items[0]["metadata"]
        return DriverPod(name=metadata["name"], uid=metadata["uid"])


@contextmanager
def cluster(
    *,
    kubeconfig: str | None,
    context: str | None,
    master: str | None,
    namespace: str,
    spark: Mapping[str, str] = MappingProxyType({}),
    retry_seconds: float = 0,
    notice: Callable[[str], None] | None = None,
) -> Iterator[Cluster]:
    """Yield the namespace of the cluster to which spark-submit will talk.

    Args:
        kubeconfig: as KUBECONFIG has it.
        context: of the kubeconfig; None for the current one.
        master: Spark's master, whose address wins over that of the kubeconfig, as in spark-submit; None: there is none.
        namespace: of the job.
        spark: Spark's properties, of which credentials win over those of the kubeconfig.
        retry_seconds: for how long calls that fail in passing are tried again.
        notice: is told why a call is tried again.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    with kube_api(
        kubeconfig=kubeconfig,
        context=context,
        master=master,
        spark=spark,
        retry_seconds=retry_seconds,
        notice=notice,
    ) as api:
        yield Cluster(api, namespace=namespace)
