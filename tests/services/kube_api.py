"""A real Kubernetes API server on loopback: etcd and kube-apiserver, without nodes and controllers.

As with controller-runtime's envtest, the programs are those in the folder `KUBEBUILDER_ASSETS`.  Without that folder,
the cluster that `KUBECONFIG` names is taken; what tests leave there is in namespaces that are deleted in the end.

Without controllers nothing is collected: an owner reference is kept, but does not delete.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from kubernetes import client, config

from tests.services.kube_programs import ApiServer, KubeApiMissingError, own_server, write_kubeconfig

__all__ = ["KubeApi", "KubeApiMissingError", "running_kube_api"]


@dataclass(frozen=True, kw_only=True)
class KubeApi:
    """An API server, with an administrator's kubeconfig and one of a user without rights."""

    url: str
    kubeconfig: Path
    stranger: Path
    core: Any
    """The library's `CoreV1Api`, as the administrator."""
    server: ApiServer | None = None
    """The programs, when they are ours."""

    def get_secret(self, name: str, *, namespace: str) -> dict[str, Any]:
        """Return a Secret as Kubernetes writes it."""
        secret = self.core.read_namespaced_secret(name, namespace)
        return dict(self.core.api_client.sanitize_for_serialization(secret))

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """Yield a new namespace."""
        name = _make_namespace(self.core)
        try:
            yield name
        finally:
            self.core.delete_namespace(name)


@contextmanager
def running_kube_api(*, audit: bool = False) -> Iterator[KubeApi]:
    """Yield an API server of our own, with a log of all requests if `audit`, or the cluster of `KUBECONFIG`.

    Raises:
        KubeApiMissingError: there is neither, or the programs do not start.
    """
    assets, usual = (os.environ.get(name) for name in ("KUBEBUILDER_ASSETS", "KUBECONFIG"))  # noqa: TID251 - the suite has no settings module
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kube-api-")))
        server = stack.enter_context(own_server(Path(assets), folder=folder, audit=audit)) if assets else None
        if server is not None:
            kubeconfig = folder / "kubeconfig"
        elif usual:
            kubeconfig = _current_context(folder)
        else:
            msg = "KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver, and KUBECONFIG no cluster"
            raise KubeApiMissingError(msg)
        settings = client.Configuration(no_proxy="127.0.0.1" if assets else None)
        config.load_kube_config(str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call] # the library has no types
        core = client.CoreV1Api(stack.enter_context(client.ApiClient(settings)))
        namespace = _make_namespace(core)
        stack.callback(core.delete_namespace, namespace)
        stranger = folder / "stranger"
        write_kubeconfig(stranger, settings.host, settings.ssl_ca_cert, {"token": _token(core, namespace)})
        yield KubeApi(url=settings.host, kubeconfig=kubeconfig, stranger=stranger, core=core, server=server)


def _current_context(folder: Path) -> Path:
    """Write what kubectl makes of `KUBECONFIG`: one context, and no names of other files."""
    command = ["kubectl", "config", "view", "--minify", "--flatten", "--raw"]
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    try:
        path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        msg = f"kubectl cannot read the cluster of KUBECONFIG: {error}"
        raise KubeApiMissingError(msg) from error
    return path


def _make_namespace(core: Any) -> str:
    name = f"spark-staging-test-{uuid4().hex[:12]}"
    core.create_namespace({"metadata": {"name": name}})
    return name


def _token(core: Any, namespace: str) -> str:
    """Return the token of a new service account; nobody has given it rights."""
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "stranger"}})
    # The audience of an API server is its issuer, unless it was told otherwise.
    request = {"spec": {"expirationSeconds": 3600, "audiences": []}}
    return str(core.create_namespaced_service_account_token("stranger", namespace, request).status.token)
