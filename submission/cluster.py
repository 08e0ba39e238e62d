"""The few calls to the Kubernetes API that `run` needs: one Secret, and the driver's pod.

The identity is that of kubectl (kubeconfig, or the pod's own), as for spark-submit.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from staging_io.logs import redact
from staging_protocol import pod_contract
from staging_protocol.errors import Denied, InvalidRequest, NotFound, StagingError, Unauthenticated, Unavailable
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId

_TIMEOUT: Final = (10, 30)
"""Seconds to connect and to read: a call of ours is small, and a person waits."""

_USUAL_KUBECONFIG: Final = "~/.kube/config"
"""Where kubectl looks without KUBECONFIG, or with an empty one."""

_PAST_PROXIES: Final = "localhost,127.0.0.0/8,::1"
"""As with kubectl and spark-submit, a cluster on this machine (kind, minikube) is not asked through HTTPS_PROXY."""

_NO_TLS: Final = 0
"""What the library gives for the status when TLS fails."""
_SERVER_ERRORS: Final = 500
_RETRYABLE: Final = frozenset({408, 429})
_REFUSALS: Final[Mapping[int, tuple[type[StagingError], str]]] = {
    401: (Unauthenticated, "; log in again: kubectl has to work with the same kubeconfig and context"),
    403: (Denied, "; what RBAC, quotas and policies allow is for the cluster's administrators to change"),
    404: (NotFound, "; check the namespace (spark.kubernetes.namespace)"),
    409: (InvalidRequest, "; has this bundle been run before? Stage again"),
}
"""The error for a status, and what to do about it."""


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
        """Make a call of the library and return the object of the answer."""
        with _translated(f"{what} in namespace {self._namespace}"):
            # As bytes: the library's models of pods take 100 times as long as the two fields that count.
            answer = call(*arguments, **options, _preload_content=False, _request_timeout=_TIMEOUT)
            found = json.loads(answer.data)
            if not isinstance(found, dict):
                raise TypeError  # told in words by `_translated`
            return found


@contextmanager
def cluster(*, kubeconfig: str | None, context: str | None, master: str, namespace: str) -> Iterator[Cluster]:
    """Yield the namespace of the cluster to which spark-submit will talk.

    Args:
        kubeconfig: file or files, as KUBECONFIG has them; None or empty for the usual one.  Where there is none, the
            identity of the pod is taken.
        context: of the kubeconfig; None for the current one.
        master: Spark's master, whose address wins over that of the kubeconfig, as in spark-submit.
        namespace: of the job.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    from kubernetes import client

    identity = client.Configuration()
    identity.no_proxy = f"{identity.no_proxy or ''},{_PAST_PROXIES}"
    _load_identity(identity, kubeconfig=kubeconfig or _USUAL_KUBECONFIG, context=context)
    address = master.removeprefix("k8s://")
    settings = _at_address(address if "://" in address else f"https://{address}", identity=identity)
    with client.ApiClient(settings) as api:
        yield Cluster(client.CoreV1Api(api), namespace=namespace)


def _at_address(address: str, *, identity: Any) -> Any:
    """Return settings with this address, whatever the kubeconfig says.

    With a token, the library reads the identity anew before each call, and its address with it; so that happens on a
    copy, of which only the token is taken.
    """
    settings = deepcopy(identity)
    settings.host = address
    settings.retries = False

    def refresh(settings: Any) -> None:
        identity.refresh_api_key_hook(identity)
        settings.api_key = identity.api_key

    settings.refresh_api_key_hook = refresh if identity.refresh_api_key_hook else None
    return settings


def _load_identity(settings: Any, *, kubeconfig: str, context: str | None) -> None:
    from kubernetes import config
    from yaml import YAMLError

    files = [Path(name).expanduser() for name in kubeconfig.split(":") if name]
    if context is None and not any(file.exists() for file in files) and _load_own_identity(settings):
        return
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call] # the library has no types
            config_file=kubeconfig, context=context, client_configuration=settings
        )
    # The last four: what the library says of a file that is YAML, but no kubeconfig.
    except (config.ConfigException, YAMLError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        msg = f"no kubeconfig can be used to create the Secret of the bundle: {_without_values(error)}"
        # Not `from error`: its text may hold a token, and a traceback would show it.
        raise InvalidRequest(msg) from None


def _load_own_identity(settings: Any) -> bool:
    """Take the identity of the pod in which this program runs; return False outside a pod."""
    from kubernetes import config

    try:
        config.load_incluster_config(  # type: ignore[no-untyped-call] # the library has no types
            client_configuration=settings
        )
    except config.ConfigException:
        return False
    return True


def _without_values(error: Exception) -> str:
    """Return what is wrong with a kubeconfig, without what stands in it: that may be a token."""
    from kubernetes.config import ConfigException

    if isinstance(error, ConfigException):
        # It writes a malformed entry whole behind the path of the file: `…/config/{'name': …, 'token': …}`.
        return str(error).partition("/{")[0]
    if isinstance(error, OSError):
        return str(error)
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1} of {mark.name})" if mark else ""
    return f"it is malformed{where}; does `kubectl config view` read it?"


@contextmanager
def _translated(what: str) -> Iterator[None]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise _refusal(what, error) from error
    except (HTTPError, OSError) as error:
        msg = f"the Kubernetes API does not answer (to {what}): {redact(str(error))}; check --master and the network"
        raise Unavailable(msg) from error
    except (ValueError, TypeError) as error:
        msg = f"what answers (to {what}) is no Kubernetes API; check --master and proxies on the way"
        raise Unavailable(msg) from error


def _refusal(what: str, error: Any) -> StagingError:
    if error.status == _NO_TLS:
        # The library gives the type of its error and the message, in two lines.
        why = str(error.reason).rpartition("\n")[2]
        return Unavailable(
            f"no secure connection to the Kubernetes API (to {what}): {redact(why)}; "
            "does the kubeconfig belong to the cluster of --master?"
        )
    try:
        status = json.loads(error.body)
        why, reason = str(status["message"]), status.get("reason")
    except (TypeError, ValueError, LookupError, AttributeError):
        why, reason = str(error.reason), None
    kind, hint = _REFUSALS.get(error.status, (InvalidRequest, ""))
    if error.status in _RETRYABLE or error.status >= _SERVER_ERRORS or reason == "Conflict":
        kind, hint = Unavailable, "; try again"
    return kind(f"the Kubernetes API refused to {what}: {redact(why)}{hint}")
