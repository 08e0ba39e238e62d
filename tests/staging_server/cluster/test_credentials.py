"""Who we are to the API server: the identity of a pod, read again while it changes, or a kubeconfig."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import yaml
from kubernetes.aio.config import incluster_config

from staging_protocol.errors import Unauthenticated, Unavailable
from staging_server.cluster.api import open_cluster_api
from staging_server.cluster.credentials import Credentials
from staging_server.cluster.objects import Item, Page
from staging_server.settings import Connect, KubernetesSettings
from staging_server.tenants import Tenant
from tests.staging_server.cluster.lab import Lab, kubeconfig_for


@dataclass(frozen=True)
class _File:
    """A file that somebody else writes."""

    path: Path

    def read(self) -> str:
        return self.path.read_text()

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def remove(self) -> None:
        self.path.unlink()


@pytest.fixture
def pod(lab: Lab, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _File:
    """Make this process look as if it ran in a pod; return the file of its token."""
    kubeconfig = yaml.safe_load(lab.kubeconfig_of(tenant, "staging").read_text())
    read = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}
    lab.grant(tenant, "staging", [read])
    token = tmp_path / "token"
    token.write_text(kubeconfig["users"][0]["user"]["token"])
    host, _, port = lab.kube.url.rpartition("//")[2].partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority"]
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", authority)
    return _File(token)


_IN_CLUSTER = KubernetesSettings(connect=Connect.IN_CLUSTER)


async def test_a_pod_has_its_service_accounts_rights(pod: _File, tenant: Tenant) -> None:
    async with open_cluster_api(_IN_CLUSTER) as api:
        found = await api.get(f"/api/v1/namespaces/{tenant.namespace}", into=Item)
    assert found.metadata.uid == tenant.uid


async def test_the_token_of_a_pod_is_read_again_each_minute(pod: _File) -> None:
    now = 1000.0
    credentials = Credentials(_IN_CLUSTER, clock=lambda: now)
    first = await credentials.current()
    pod.write("second\n")
    assert await credentials.current() is first
    now += 60
    second = await credentials.current()
    assert second.authorization == "bearer second"
    assert second.rest is first.rest  # connections and watches stay
    pod.remove()
    now += 60
    assert await credentials.current() is second  # until it can be read again
    assert "second" not in repr(second)
    await credentials.close()


async def test_a_token_that_was_replaced_early_is_read_after_a_refusal(pod: _File, tenant: Tenant) -> None:
    good = pod.read()
    pod.write("nonsense")
    path = f"/api/v1/namespaces/{tenant.namespace}"
    async with open_cluster_api(_IN_CLUSTER) as api:
        with pytest.raises(Unauthenticated):
            await api.get(path, into=Item)
        pod.write(good)
        api._credentials._loaded -= 10
        assert (await api.get(path, into=Item)).metadata.uid == tenant.uid


async def test_new_trust_is_a_new_client(lab: Lab, tmp_path: Path) -> None:
    content = yaml.safe_load(lab.kube.kubeconfig.read_text())
    authority = _File(tmp_path / "ca.pem")
    good = _File(Path(content["clusters"][0]["cluster"]["certificate-authority"])).read()
    authority.write(trustme.CA().cert_pem.bytes().decode())
    content["clusters"][0]["cluster"]["certificate-authority"] = str(authority.path)
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    async with open_cluster_api(lab.settings(kubeconfig=path)) as api:
        with pytest.raises(Unavailable):
            await api.get("/api/v1/namespaces", into=Page)
        authority.write(good)
        api._credentials._loaded -= 10
        with pytest.raises(Unavailable):  # this refusal has the trust loaded anew
            await api.get("/api/v1/namespaces", into=Page)
        await api.get("/api/v1/namespaces", into=Page)


@pytest.mark.parametrize("content", [None, "", "nonsense: [", "[]", "contexts: []", "a: 1\ncurrent-context: x"])
async def test_a_kubeconfig_that_cannot_be_used_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    async with open_cluster_api(KubernetesSettings(connect=Connect.KUBECONFIG, kubeconfig=path)) as api:
        with pytest.raises(Unavailable, match=r"no credentials for Kubernetes \(kubeconfig\)"):
            await api.get("/api", into=Item)


async def test_outside_of_a_pod_there_is_no_identity_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with open_cluster_api(_IN_CLUSTER) as api:
        with pytest.raises(Unavailable, match=r"no credentials for Kubernetes \(in-cluster\)"):
            await api.get("/api", into=Item)


async def test_another_context_of_a_kubeconfig_can_be_named(tmp_path: Path) -> None:
    path = kubeconfig_for("http://127.0.0.1:1", tmp_path, token="x")
    content = yaml.safe_load(path.read_text())
    content["contexts"].append({"name": "there", "context": {"cluster": "there", "user": "me"}})
    content["clusters"].append({"name": "there", "cluster": {"server": "http://127.0.0.1:2"}})
    path.write_text(yaml.safe_dump(content))
    settings = KubernetesSettings(connect=Connect.KUBECONFIG, kubeconfig=path, context="there")
    credentials = Credentials(settings)
    assert (await credentials.current()).host == "http://127.0.0.1:2"
    await credentials.close()
