"""The Secrets of bundles in a cluster: found by our label, never read, deleted one by one.

Only their metadata is asked for, so that no token comes here.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from staging_protocol import pod_contract
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.tokens import BundleId
from submission.kube_calls import ask
from submission.kube_identity import load_identity

_PAGE: Final = 500
_METADATA: Final = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
_ADDRESS: Final = "the kubeconfig"


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

    def __init__(self, api: Any, *, namespace: str | None) -> None:
        self._api = api
        self._namespace = namespace

    def found(self) -> Iterator[LabelledSecret]:
        """Yield them, page by page; what only looks like one of ours is left out."""
        cursor: str | None = None
        while True:
            page = self._page(cursor)
            for item in page.get("items") or []:
                secret = _ours(item.get("metadata") or {})
                if secret is not None:
                    yield secret
            cursor = (page.get("metadata") or {}).get("continue")
            if not cursor:
                return

    def delete(self, secret: LabelledSecret) -> None:
        """Delete it, if it is still the same."""
        what = f"delete secrets in namespace {secret.namespace}"
        options = {"preconditions": {"uid": secret.uid}}
        with suppress(NotFound):
            ask(
                what, self._api.delete_namespaced_secret, secret.name, secret.namespace,
                body=options, address_from=_ADDRESS,
            )  # fmt: skip

    def _page(self, cursor: str | None) -> dict[str, Any]:
        where = "all namespaces" if self._namespace is None else f"namespace {self._namespace}"
        arguments = () if self._namespace is None else (self._namespace,)
        call = self._api.list_namespaced_secret if arguments else self._api.list_secret_for_all_namespaces
        return ask(
            f"list secrets in {where}", call, *arguments, address_from=_ADDRESS,
            label_selector=pod_contract.LABEL, limit=_PAGE, _continue=cursor, _headers=_METADATA,
        )  # fmt: skip


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
    *, kubeconfig: str | None, context: str | None, namespace: str | None
) -> Iterator[LabelledSecrets]:
    """Yield the Secrets of the cluster that kubectl would talk to; `namespace` None means all.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    from kubernetes import client

    with client.ApiClient(load_identity(kubeconfig=kubeconfig, context=context)) as api:
        yield LabelledSecrets(client.CoreV1Api(api), namespace=namespace)
