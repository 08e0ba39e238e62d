"""Who and what is in a cluster, on a real API server: accounts, tokens, roles, pods, and what the server may ask.

There is no kubelet: pods are objects that stay as they were made, and finish when a test says so.  Calls are blocking.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from staging_protocol.pod_contract import LABEL, TOKEN_AUDIENCE
from staging_server.auth.base import BoundPod
from tests.services.kube_api import KubeApi
from tests.staging_server.served import wait_until

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
KUSTOMIZE: Final = DEPLOY / "kustomize"
SERVER: Final = "spark-staging"
"""The server's account, in all manifests."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A real API server, as its administrator.  The server's account is in `home`."""

    kube: KubeApi
    home: str
    folder: Path
    rbac: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rbac", client.RbacAuthorizationV1Api(self.kube.core.api_client))

    def account(self, namespace: str, name: str, *, role: str | None = None) -> str:
        """Make a service account, with a ClusterRole in its namespace if one is named; return its name."""
        self.kube.core.create_namespaced_service_account(namespace, {"metadata": {"name": name}})
        if role is not None:
            self.bind(role, to=(namespace, name), namespace=namespace)
        return name

    def bind(self, role: str, *, to: tuple[str, str], namespace: str | None) -> None:
        """Give a ClusterRole to an account, in a namespace or in all."""
        self._bind(role, {"kind": "ServiceAccount", "namespace": to[0], "name": to[1]}, namespace=namespace)

    def bind_group(self, role: str, *, group: str, namespace: str) -> None:
        """Give a ClusterRole to a group, in a namespace."""
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}
        self._bind(role, subject, namespace=namespace)

    def _bind(self, role: str, subject: dict[str, str], *, namespace: str | None) -> None:
        body = {
            "metadata": {"generateName": "test-"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        }
        if namespace is None:
            self.rbac.create_cluster_role_binding(body)
        else:
            self.rbac.create_namespaced_role_binding(namespace, body)

    def token(
        self,
        namespace: str,
        account: str,
        *,
        pod: BoundPod | None = None,
        audiences: tuple[str, ...] = (TOKEN_AUDIENCE,),
    ) -> str:
        """Return a new token of an account, bound to a pod if one is named."""
        spec: dict[str, Any] = {"audiences": list(audiences), "expirationSeconds": 600}
        if pod is not None:
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid}
        made = self.kube.core.create_namespaced_service_account_token(account, namespace, {"spec": spec})
        return str(made.status.token)

    def pod(self, namespace: str, name: str, *, bundle: str | None = None, account: str = "default") -> BoundPod:
        """Make a pod that nobody runs."""
        body = {
            "metadata": {"name": name, "labels": {} if bundle is None else {LABEL: bundle}},
            "spec": {
                "schedulerName": "nobody",
                "serviceAccountName": account,
                "automountServiceAccountToken": False,
                "containers": [{"name": "spark", "image": "none.invalid/none"}],
            },
        }
        made = self.kube.core.create_namespaced_pod(namespace, body)
        return BoundPod(namespace=namespace, name=name, uid=made.metadata.uid)

    def finish(self, pod: BoundPod, *, phase: str = "Succeeded") -> None:
        """Let a pod have finished."""
        self.kube.core.patch_namespaced_pod_status(pod.name, pod.namespace, {"status": {"phase": phase}})

    def delete(self, pod: BoundPod) -> None:
        """Remove a pod at once."""
        self.kube.core.delete_namespaced_pod(pod.name, pod.namespace, grace_period_seconds=0)

    def recreate_namespace(self, name: str) -> None:
        """Delete a namespace, and make another one of that name.  Its pods are gone before."""
        self.kube.core.delete_namespace(name)
        wait_until(lambda: self._made_again(name))

    def _made_again(self, name: str) -> bool:
        core = self.kube.core
        # Where no controller empties namespaces, we are the one who says that it is empty.
        with _refused_with(404, 409):
            core.replace_namespace_finalize(name, {"metadata": {"name": name}, "spec": {"finalizers": []}})
        with _refused_with(409):
            core.create_namespace({"metadata": {"name": name}})
            return True
        return False

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator."""
        command = [kubectl_program(), "--kubeconfig", str(self.kube.kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, input=stdin, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Install the rights of the overlay `embedded-kubernetes` in `home`, as its README says, without the server."""
        folder = self.folder / "overlay"
        folder.mkdir()
        where = os.path.relpath(KUSTOMIZE / "embedded-kubernetes", folder.resolve())
        (folder / "kustomization.yaml").write_text(f"namespace: {self.home}\nbases: [{where}]\n")
        whole = yaml.safe_load_all(self.kubectl("kustomize", str(folder)))
        rights = [one for one in whole if one["apiVersion"].startswith("rbac.") or one["kind"] == "ServiceAccount"]
        with self.applied(yaml.safe_dump_all(rights), namespace=self.home):
            yield

    @contextmanager
    def applied(self, manifests: str, *, namespace: str) -> Iterator[None]:
        """Apply manifests; take them away in the end."""
        arguments = ("--namespace", namespace, "--filename", "-")
        self.kubectl("apply", *arguments, stdin=manifests)
        try:
            yield
        finally:
            self.kubectl("delete", "--ignore-not-found", "--wait=false", *arguments, stdin=manifests)

    def server_settings(self, account: str = SERVER, **auth: Any) -> dict[str, Any]:
        """Return the settings of a server that asks this cluster as an account of `home`."""
        return {
            # Everybody here comes from one address.
            "auth": {"mode": "kubernetes", "refusals_per_second": 10_000, "reviews_per_second": 10_000, **auth},
            "kubernetes": {"connect": "kubeconfig", "kubeconfig": self.kubeconfig(self.home, account)},
        }

    def server_variables(self) -> dict[str, str]:
        """Return the same for a server that is a process of its own."""
        settings = {
            "AUTH__MODE": "kubernetes", "KUBERNETES__CONNECT": "kubeconfig",
            "KUBERNETES__KUBECONFIG": str(self.kubeconfig(self.home, SERVER)),
        }  # fmt: skip
        return {f"SPARK_STAGING_SERVER_{name}": value for name, value in settings.items()}

    def kubeconfig(self, namespace: str, account: str) -> Path:
        """Write the kubeconfig of an account."""
        content = yaml.safe_load(self.kube.kubeconfig.read_text())
        content["users"] = [{"name": "me", "user": {"token": self.token(namespace, account, audiences=())}}]
        content["contexts"][0]["context"]["user"] = "me"
        path = self.folder / f"{namespace}-{account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        return path


@contextmanager
def _refused_with(*statuses: int) -> Iterator[None]:
    """Pass over refusals with one of these statuses."""
    try:
        yield
    except ApiException as error:
        if error.status not in statuses:
            raise


def kubectl_program() -> str:
    """Return the path of kubectl: beside the API server's programs, or the machine's own."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")  # noqa: TID251 - the suite has no settings module
    found = shutil.which("kubectl", path=assets) or shutil.which("kubectl")
    assert found is not None, "there is no kubectl beside the API server, nor on this machine"
    return found
