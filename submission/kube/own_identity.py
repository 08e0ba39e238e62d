"""The identity of the pod in which this program runs: the token and the authority that the kubelet mounts."""

from pathlib import Path

from staging_protocol.errors import InvalidRequest
from submission.kube.endpoint import Endpoint
from submission.kube.identity import User

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def own_endpoint(address: str | None) -> Endpoint | None:
    """Return the API server of the own cluster; None outside a pod, or in one that has no token.

    Args:
        address: `HOST:PORT`, as pods are told it; None outside a pod.

    Raises:
        InvalidRequest: the authority cannot be read.
    """
    if address is None or not (FOLDER / "token").exists() or not (FOLDER / "ca.crt").exists():
        return None
    try:
        authority = (FOLDER / "ca.crt").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the authority of the own cluster, {FOLDER / 'ca.crt'}, cannot be read: {error}"
        raise InvalidRequest(msg) from error
    return Endpoint(address=f"https://{address}", authority=authority, named_by="the pod's own identity")


def own_user() -> User:
    """Return the service account of the pod."""
    return User(words="the service account of this pod", token_file=FOLDER / "token")
