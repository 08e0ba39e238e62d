"""The few calls to the Kubernetes API that `run` needs: one Secret, and the driver's pod.

The identity is that of kubectl (kubeconfig, or the pod's own), as for spark-submit.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from staging_protocol import pod_contract
from staging_protocol.errors import Denied, InvalidRequest, NotFound, StagingError, Unauthenticated, Unavailable
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId

_TIMEOUT: Final = (10, 30)
"""Seconds to connect and to read: a call of ours is small, and a person waits."""

_NOT_FOUND: Final = 404


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
        with _translated(f"create secrets in namespace {self._namespace}"):
            self._api.create_namespaced_secret(self._namespace, secret, _request_timeout=_TIMEOUT)

    def delete_secret(self, bundle: BundleId) -> None:
        """Delete the bundle's Secret, if it is there."""
        with _translated(f"delete secrets in namespace {self._namespace}", missing_is_fine=True):
            self._api.delete_namespaced_secret(
                pod_contract.secret_name(bundle), self._namespace, _request_timeout=_TIMEOUT
            )

    def own_secret(self, bundle: BundleId, *, pod: DriverPod) -> None:
        """Make the driver's pod the owner of the Secret, so that they go together."""
        owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        with _translated(f"patch secrets in namespace {self._namespace}"):
            self._api.patch_namespaced_secret(
                pod_contract.secret_name(bundle),
                self._namespace,
                {"metadata": {"ownerReferences": [owner]}},
                _request_timeout=_TIMEOUT,
            )

    def driver_pod(self, bundle: BundleId) -> DriverPod | None:
        """Return the driver's pod of the bundle, when there is one."""
        selector = f"{pod_contract.LABEL}={bundle},spark-role=driver"
        with _translated(f"list pods in namespace {self._namespace}"):
            # The client's models of pods take 100 times as long as the two fields that count.
            answer = self._api.list_namespaced_pod(
                self._namespace, label_selector=selector, limit=1, _preload_content=False, _request_timeout=_TIMEOUT
            )
            items = json.loads(answer.data).get("items") or []
        if not items:
            return None
        metadata = items[0]["metadata"]
        return DriverPod(name=metadata["name"], uid=metadata["uid"])


@contextmanager
def cluster(*, kubeconfig: str | None, context: str | None, master: str, namespace: str) -> Iterator[Cluster]:
    """Yield the namespace of the cluster to which spark-submit will talk.

    Args:
        kubeconfig: file or files, as KUBECONFIG has them; None for the usual one.
        context: of the kubeconfig; None for the current one.
        master: Spark's master, whose address wins over that of the kubeconfig, as in spark-submit.
        namespace: of the job.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call] # the library has no types
                config_file=kubeconfig, context=context, client_configuration=settings
            )
        except config.ConfigException:
            if context is not None:
                raise
            config.load_incluster_config(  # type: ignore[no-untyped-call] # as above
                client_configuration=settings
            )
    except config.ConfigException as error:
        msg = f"no kubeconfig can be used to create the Secret of the bundle: {error}"
        raise InvalidRequest(msg) from error
    address = master.removeprefix("k8s://")
    settings.host = address if "://" in address else f"https://{address}"
    settings.retries = False
    with client.ApiClient(settings) as api:
        yield Cluster(client.CoreV1Api(api), namespace=namespace)


@contextmanager
def _translated(what: str, *, missing_is_fine: bool = False) -> Iterator[None]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        if error.status == _NOT_FOUND and missing_is_fine:
            return
        raise _refusal(what, error) from error
    except (HTTPError, OSError) as error:
        msg = f"the Kubernetes API does not answer (to {what}): {error}"
        raise Unavailable(msg) from error


def _refusal(what: str, error: Any) -> StagingError:
    kinds: dict[int, type[StagingError]] = {401: Unauthenticated, 403: Denied, 404: NotFound, 409: InvalidRequest}
    try:
        reason = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        reason = str(error.reason)
    return kinds.get(error.status, Unavailable)(f"the Kubernetes API refused to {what}: {reason}")
