"""The Secrets of bundles in a cluster: found by our label, never read, deleted one by one.

Only their metadata is asked for, so that no token comes here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from staging_protocol import pod_contract
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.tokens import BundleId
from submission.kube.api import KubeApi
from submission.kube.connect import kube_api
from submission.kube.resources import SECRETS


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSecret:
    """A Secret with our label and a name of ours.

    Attributes:
        namespace: it is in.
        name: of the Secret.
        uid: of the Secret; another one of that name is another Secret.
        bundle: whose token it holds.
        server: URL for pods of the bundle's server; None where the Secret does not say.
    """

    namespace: str
    name: str
    uid: str
    bundle: BundleId
    server: str | None


class LabelledSecrets:
    """Those of one namespace, or of all."""

    def __init__(self, api: KubeApi, *, namespace: str | None) -> None:
        self._api = api
        self._namespace = namespace

    def found(self) -> Iterator[LabelledSecret]:
        """Yield them, page by page; what only looks like one of ours is left out."""
        for metadata in self._api.each_metadata(SECRETS, namespace=self._namespace, labels=pod_contract.LABEL):
            secret = _ours(metadata)
            if secret is not None:
                yield secret

    def delete(self, secret: LabelledSecret) -> None:
        """Delete it, if it is still the same."""
        with suppress(NotFound):
            self._api.delete(SECRETS, secret.name, namespace=secret.namespace, uid=secret.uid)


def _ours(metadata: dict[str, Any]) -> LabelledSecret | None:
    try:
        bundle = BundleId(metadata["labels"][pod_contract.LABEL])
    except InvalidRequest:
        return None
    if metadata["name"] != pod_contract.secret_name(bundle):
        return None
    return LabelledSecret(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        bundle=bundle,
        server=(metadata.get("annotations") or {}).get(pod_contract.SERVER_ANNOTATION),
    )


@contextmanager
def labelled_secrets(
    *,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    retry_seconds: float,
    notice: Callable[[str], None],
) -> Iterator[LabelledSecrets]:
    """Yield the Secrets of the cluster that kubectl would talk to; `namespace` None means all.

    `notice` is told why a call is tried again, for up to `retry_seconds`.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    with kube_api(
        kubeconfig=kubeconfig, context=context, master=None, retry_seconds=retry_seconds, notice=notice
    ) as api:
        yield LabelledSecrets(api, namespace=namespace)
