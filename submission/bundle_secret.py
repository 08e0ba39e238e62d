"""The Secret that brings a bundle's token to the init containers.  Pure."""

from typing import Any

from staging_protocol import pod_contract
from staging_protocol.api.info import PodEndpoint
from staging_protocol.tokens import BundleId, Token


def bundle_secret(bundle: BundleId, *, namespace: str, token: Token, pods: PodEndpoint) -> dict[str, Any]:
    """Return the Secret as Kubernetes takes it; it is immutable, since a bundle's token does not change.

    `pods` is where the server says that pods reach it: by that `bundles prune` knows whom to ask about the bundle.
    """
    data = {pod_contract.TOKEN_KEY: token.text}
    if pods.ca is not None:
        data[pod_contract.CA_KEY] = pods.ca
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": pod_contract.secret_name(bundle),
            "namespace": namespace,
            "labels": {pod_contract.LABEL: str(bundle)},
            "annotations": {pod_contract.SERVER_ANNOTATION: pods.url},
        },
        "type": "Opaque",
        "immutable": True,
        "stringData": data,
    }
