"""Objects on a real API server, made and changed as controllers and people would."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from staging_protocol import pod_contract
from staging_protocol.owners import OwnerReference
from staging_server.cluster.api import open_cluster_api
from staging_server.cluster.observer import SILENT, WatchObserver
from staging_server.cluster.watched import Watched, open_sights
from staging_server.settings import Connect, KubernetesSettings
from staging_server.tenants import Tenant
from staging_server.times import Clock, utc_now
from tests.services.kube_api import KubeApi
from tests.services.kube_programs import ApiServer, write_kubeconfig

CRDS = tuple(yaml.safe_load_all((Path(__file__).parents[2] / "services" / "spark_crds.yaml").read_text()))
_SERVED_WITHIN = 30.0


@dataclass(frozen=True)
class Lab:
    """An API server and the objects on it."""

    kube: KubeApi
    folder: Path

    @property
    def server(self) -> ApiServer:
        """Return the programs."""
        assert self.kube.server is not None, "this test needs an API server of its own"
        return self.kube.server

    def settings(self, **changed: Any) -> KubernetesSettings:
        """Return settings of a server that hurries."""
        quick: dict[str, Any] = {"list_every": 0.2, "look_every": 0.2, "longest_pause": 1, "request_timeout": 10}
        return KubernetesSettings(
            **{"connect": Connect.KUBECONFIG, "kubeconfig": self.kube.kubeconfig, **quick, **changed}
        )

    # --- namespaces

    def make_namespace(self, name: str | None = None) -> Tenant:
        """Make a namespace and return the tenant that it is."""
        name = name or f"team-{uuid4().hex[:12]}"
        made = self.kube.core.create_namespace({"metadata": {"name": name}})
        return Tenant(namespace=name, uid=made.metadata.uid)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace with its pods, as the namespace controller would."""
        self.kube.core.delete_collection_namespaced_pod(name, grace_period_seconds=0)
        self.kube.core.delete_namespace(name)
        self.kube.core.replace_namespace_finalize(name, {"metadata": {"name": name}, "spec": {"finalizers": []}})

    # --- pods

    def make_pod(self, tenant: Tenant, name: str, *, bundle: str | None = None) -> str:
        """Make a pod and return its uid."""
        labels = {pod_contract.LABEL: bundle} if bundle is not None else {}
        body = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "spark", "image": "spark"}]},
        }
        return str(self.kube.core.create_namespaced_pod(tenant.namespace, body).metadata.uid)

    def set_phase(self, tenant: Tenant, name: str, phase: str, *, finished_at: str | None = None) -> None:
        """Let a kubelet report a phase."""
        status: dict[str, Any] = {"phase": phase}
        if finished_at is not None:
            ended = {"terminated": {"exitCode": 0, "finishedAt": finished_at}}
            status["containerStatuses"] = [
                {"name": "spark", "image": "spark", "imageID": "", "ready": False, "restartCount": 0, "state": ended}
            ]
        self.kube.core.patch_namespaced_pod_status(name, tenant.namespace, {"status": status})

    def delete_pod(self, tenant: Tenant, name: str) -> None:
        """Delete a pod at once."""
        self.kube.core.delete_namespaced_pod(name, tenant.namespace, grace_period_seconds=0)

    # --- other owners

    def make_owner(self, tenant: Tenant, reference: OwnerReference, spec: Mapping[str, Any] | None = None) -> str:
        """Make an object of any kind but Pod, and return its uid."""
        body = {"apiVersion": reference.api_version, "kind": reference.kind, "spec": dict(spec or {})}
        made = self._custom.create_namespaced_custom_object(
            *_address(tenant, reference), {**body, "metadata": {"name": reference.name}}
        )
        return str(made["metadata"]["uid"])

    def set_status(self, tenant: Tenant, reference: OwnerReference, status: Mapping[str, Any]) -> None:
        """Let its controller report a status."""
        body = {"status": dict(status)}
        self._custom.patch_namespaced_custom_object_status(*_address(tenant, reference), reference.name, body)

    def delete_owner(self, tenant: Tenant, reference: OwnerReference) -> None:
        """Delete it at once; a Job would wait for a controller to release its pods."""
        options = {"propagation_policy": "Background", "grace_period_seconds": 0}
        self._custom.delete_namespaced_custom_object(*_address(tenant, reference), reference.name, **options)

    @contextmanager
    def crds(self, definitions: Sequence[Mapping[str, Any]] = CRDS) -> Iterator[None]:
        """Install the operators' kinds."""
        for definition in definitions:
            self.install(definition)
        try:
            yield
        finally:
            for definition in definitions:
                self.uninstall(definition)

    def install(self, definition: Any) -> None:
        """Install a kind, and wait until it is served."""
        client.ApiextensionsV1Api(self._client).create_custom_resource_definition(definition)
        spec = definition["spec"]
        address = spec["group"], spec["versions"][0]["name"], spec["names"]["plural"]
        wait_for(lambda: self._is_served(*address))

    def uninstall(self, definition: Any) -> None:
        """Remove a kind, and wait until it is gone."""
        name = definition["metadata"]["name"]
        api: Any = client.ApiextensionsV1Api(self._client)
        api.delete_custom_resource_definition(name)
        wait_for(lambda: all(one.metadata.name != name for one in api.list_custom_resource_definition().items))

    # --- rights

    def grant(
        self, tenant: Tenant, account: str, rules: Sequence[Mapping[str, Any]], *, of: Tenant | None = None
    ) -> None:
        """Give a service account (of another tenant) rights in the tenant's namespace."""
        self._rbac.create_namespaced_role(tenant.namespace, {"metadata": {"name": account}, "rules": list(rules)})
        binding = _binding("Role", account, account=account, tenant=of or tenant)
        self._rbac.create_namespaced_role_binding(tenant.namespace, binding)

    def grant_everywhere(
        self, tenant: Tenant, role: str, rules: Sequence[Mapping[str, Any]], *, to: str | None = None
    ) -> None:
        """Give a service account of the tenant, by default named as the role, rights in the whole cluster."""
        name = f"{tenant.namespace}-{role}"
        self._rbac.create_cluster_role({"metadata": {"name": name}, "rules": list(rules)})
        self._rbac.create_cluster_role_binding(_binding("ClusterRole", name, account=to or role, tenant=tenant))

    def kubeconfig_of(self, tenant: Tenant, account: str) -> Path:
        """Make a service account without rights, and return its kubeconfig."""
        core = self.kube.core
        core.create_namespaced_service_account(tenant.namespace, {"metadata": {"name": account}})
        asked = {"spec": {"expirationSeconds": 3600, "audiences": []}}
        token = core.create_namespaced_service_account_token(account, tenant.namespace, asked).status.token
        path = self.folder / f"{tenant.namespace}-{account}"
        write_kubeconfig(path, self.kube.url, self._client.configuration.ssl_ca_cert, {"token": token})
        return path

    def kubeconfig_at(self, url: str) -> Path:
        """Return the administrator's kubeconfig for another address."""
        content = yaml.safe_load(self.kube.kubeconfig.read_text())
        content["clusters"][0]["cluster"]["server"] = url
        path = self.folder / f"at-{uuid4().hex}"
        path.write_text(yaml.safe_dump(content))
        return path

    def requests(self) -> list[dict[str, Any]]:
        """Return what the API server wrote of each request that it has finished."""
        lines = self.server.audit_log.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    # --- inside

    def _is_served(self, group: str, version: str, plural: str) -> bool:
        try:
            self._custom.list_cluster_custom_object(group, version, plural)
        except ApiException as error:
            if error.status != 404:
                raise
            return False
        return True

    @property
    def _client(self) -> Any:
        return self.kube.core.api_client

    @property
    def _custom(self) -> Any:
        return client.CustomObjectsApi(self._client)

    @property
    def _rbac(self) -> Any:
        return client.RbacAuthorizationV1Api(self._client)


@dataclass
class Heard:
    """Notes what the watches tell to whoever counts."""

    heard: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def watch_heard(self, kind: str, _namespace: str, /) -> None:
        self.heard.append(kind)

    def watch_listed(self, kind: str, _namespace: str, /, **_numbers: float) -> None:
        self.lists.append(kind)

    def watch_broken(self, kind: str, _namespace: str, /, *, code: str) -> None:
        self.broken.append((kind, code))

    def watch_whole(self, kind: str, _namespace: str, /) -> None:
        self.whole.append(kind)

    def watch_closed(self, kind: str, _namespace: str, /) -> None:
        self.closed.append(kind)


@asynccontextmanager
async def watching(
    lab: Lab, *, clock: Clock = utc_now, observer: WatchObserver = SILENT, **changed: Any
) -> AsyncIterator[Watched]:
    """Watch the lab's API server."""
    settings = lab.settings(**changed)
    async with open_cluster_api(settings) as api, open_sights(api, settings, clock=clock, observer=observer) as sights:
        yield sights


async def eventually(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait for something that the watches will see."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


def kubeconfig_for(url: str, folder: Path, **identity: str) -> Path:
    """Write a kubeconfig for an address in clear text."""
    path = folder / f"for-{uuid4().hex}"
    write_kubeconfig(path, url, None, identity)
    return path


def wait_for(condition: Callable[[], bool], *, seconds: float = _SERVED_WITHIN) -> None:
    """Wait for something on the API server."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def _address(tenant: Tenant, reference: OwnerReference) -> tuple[str, str, str, str]:
    group, _, version = reference.api_version.partition("/")
    return group, version, tenant.namespace, f"{reference.kind.lower()}s"


def _binding(kind: str, role: str, *, account: str, tenant: Tenant) -> dict[str, Any]:
    return {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": tenant.namespace}],
    }
