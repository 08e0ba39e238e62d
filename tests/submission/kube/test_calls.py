"""Every call, against a real Kubernetes API server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.errors import Denied, InvalidRequest, NotFound, Unauthenticated
from submission.kube.api import KubeApi
from submission.kube.errors import AlreadyExists, Gone
from submission.kube.resources import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
    resource_of,
)
from tests.services import kube_api
from tests.services.connect_proxy import connect_proxy
from tests.submission.kube.scripted import opened, write_kubeconfig

pytestmark = pytest.mark.services

Kube = kube_api.KubeApi


@pytest.fixture
def place(kube: Kube) -> Iterator[str]:
    with kube.namespace() as name:
        yield name


@pytest.fixture
def admin(kube: Kube) -> Iterator[KubeApi]:
    """An administrator, who has a client certificate."""
    with opened(kube.kubeconfig, retry_seconds=5) as api:
        yield api


@pytest.fixture
def stranger(kube: Kube) -> Iterator[KubeApi]:
    """Somebody without rights, who has a token."""
    with opened(kube.stranger, retry_seconds=5) as api:
        yield api


def config_map(namespace: str, name: str = "settings", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"made-by": "test"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def names(listed: dict[str, Any]) -> list[str]:
    return sorted(item["metadata"]["name"] for item in listed["items"])


class TestObjects:
    def test_an_object_is_created_read_changed_and_deleted(self, admin: KubeApi, place: str) -> None:
        made = admin.create(config_map(place, color="red"))

        assert resource_of(made) == CONFIG_MAPS
        assert admin.get(CONFIG_MAPS, "settings", namespace=place)["data"] == {"color": "red"}
        changed = admin.merge(CONFIG_MAPS, "settings", {"data": {"color": None, "size": "1"}}, namespace=place)
        assert changed["data"] == {"size": "1"}
        admin.delete(CONFIG_MAPS, "settings", namespace=place)
        with pytest.raises(NotFound, match='configmaps "settings" not found'):
            admin.get(CONFIG_MAPS, "settings", namespace=place)

    def test_a_dry_run_checks_and_creates_nothing(self, admin: KubeApi, place: str) -> None:
        assert admin.create(config_map(place), dry_run=True)["metadata"]["uid"]
        wrong = config_map(place)
        wrong["metadata"]["labels"] = {"made-by": "no label"}
        with pytest.raises(InvalidRequest, match="a valid label must be"):
            admin.create(wrong, dry_run=True)

        assert names(admin.list(CONFIG_MAPS, namespace=place, labels="made-by")) == []

    def test_a_name_that_is_taken_is_told(self, admin: KubeApi, place: str) -> None:
        admin.create(config_map(place))

        with pytest.raises(AlreadyExists, match="already exists") as failure:
            admin.create(config_map(place))

        assert not failure.value.perhaps_ours

    def test_an_object_can_be_made_and_changed_by_applying_it(self, admin: KubeApi, place: str) -> None:
        admin.apply(config_map(place, color="red", size="1"))

        assert admin.apply(config_map(place, color="blue"))["data"] == {"color": "blue"}

    def test_a_field_of_somebody_else_is_taken_only_by_force(self, admin: KubeApi, place: str) -> None:
        admin.create(config_map(place, color="red"))

        with pytest.raises(InvalidRequest, match="conflict") as failure:
            admin.apply(config_map(place, color="blue"), force=False)

        assert not failure.value.retryable
        assert admin.apply(config_map(place, color="blue"))["data"] == {"color": "blue"}

    def test_only_the_object_that_was_meant_is_deleted(self, admin: KubeApi, place: str) -> None:
        old = admin.create(config_map(place))["metadata"]["uid"]
        admin.delete(CONFIG_MAPS, "settings", namespace=place, uid=old)
        admin.create(config_map(place))

        with pytest.raises(NotFound):
            admin.delete(CONFIG_MAPS, "settings", namespace=place, uid=old)

        assert admin.get(CONFIG_MAPS, "settings", namespace=place)["metadata"]["uid"] != old

    def test_objects_without_a_namespace_have_none(self, admin: KubeApi, place: str) -> None:
        assert admin.get(NAMESPACES, place, namespace=None)["metadata"]["name"] == place

    def test_a_kind_that_the_cluster_does_not_have_is_not_found(self, admin: KubeApi, place: str) -> None:
        unknown = Resource(api_version="example.com/v1", kind="Unknown", plural="unknowns")

        with pytest.raises(NotFound, match=f"refused to list unknowns in namespace {place}"):
            admin.list(unknown, namespace=place)

    def test_a_namespace_that_is_missing_is_told_with_the_setting(self, admin: KubeApi) -> None:
        with pytest.raises(NotFound, match=r'namespaces "absent" not found; check .*spark\.kubernetes\.namespace'):
            admin.create(config_map("absent"))


class TestLists:
    def test_all_pages_make_one_list(self, admin: KubeApi, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("submission.kube.listing.PAGE", 2)
        for number in range(5):
            admin.create(config_map(place, f"settings-{number}"))

        found = admin.list(CONFIG_MAPS, namespace=place, labels="made-by=test")

        assert names(found) == [f"settings-{number}" for number in range(5)]
        assert found["metadata"]["resourceVersion"]
        assert len(admin.list(CONFIG_MAPS, namespace=place, labels="made-by=test", limit=3)["items"]) == 3
        fields = "metadata.name=settings-3"
        assert names(admin.list(CONFIG_MAPS, namespace=place, fields=fields)) == ["settings-3"]

    def test_all_namespaces_are_listed(self, admin: KubeApi, place: str, kube: Kube) -> None:
        with kube.namespace() as other:
            for namespace in (place, other):
                admin.create(config_map(namespace, f"of-{place}"))

            found = admin.list(CONFIG_MAPS, namespace=None, fields=f"metadata.name=of-{place}")

        assert {item["metadata"]["namespace"] for item in found["items"]} == {place, other}

    def test_metadata_comes_without_what_is_secret(self, admin: KubeApi, place: str) -> None:
        secret = config_map(place) | {"kind": "Secret", "data": {"token": "aHVudGVyMg=="}}
        admin.create(secret)

        (found,) = admin.each_metadata(SECRETS, namespace=place, labels="made-by")

        assert found["name"] == "settings"
        assert "aHVudGVyMg" not in str(found).replace("f:data", "")

    def test_a_page_that_etcd_has_forgotten_is_told(
        self, admin: KubeApi, kube: Kube, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if kube.server is None:
            pytest.skip("the cluster is not ours, so its history cannot be thrown away")
        monkeypatch.setattr("submission.kube.listing.PAGE", 1)
        for name in ("one", "two"):
            admin.create(config_map(place, name))
        found = admin.each_metadata(CONFIG_MAPS, namespace=place)

        assert next(found)["name"] == "one"
        admin.delete(CONFIG_MAPS, "two", namespace=place)
        kube.server.compact()

        with pytest.raises(Gone):
            next(found)


class TestWatch:
    def test_what_happens_after_a_list_is_told(self, admin: KubeApi, place: str) -> None:
        admin.create(config_map(place, color="red"))
        version = admin.list(CONFIG_MAPS, namespace=place)["metadata"]["resourceVersion"]
        admin.merge(CONFIG_MAPS, "settings", {"data": {"color": "blue"}}, namespace=place)
        admin.delete(CONFIG_MAPS, "settings", namespace=place)

        events = admin.watch(CONFIG_MAPS, namespace=place, labels="made-by=test", version=version, seconds=60)

        first, second = next(events), next(events)
        events.close()  # type: ignore[attr-defined] # it is a generator
        assert (first.type, first.object["data"]) == ("MODIFIED", {"color": "blue"})
        assert (second.type, second.object["metadata"]["name"]) == ("DELETED", "settings")

    def test_it_ends_when_its_time_is_over(self, admin: KubeApi, place: str) -> None:
        version = admin.list(CONFIG_MAPS, namespace=place)["metadata"]["resourceVersion"]

        assert list(admin.watch(CONFIG_MAPS, namespace=place, labels="x", version=version, seconds=1)) == []


class TestRights:
    def test_what_one_may_and_may_not_is_known(self, admin: KubeApi, stranger: KubeApi, place: str) -> None:
        assert admin.may("create", PODS, namespace=place).allowed
        assert not stranger.may("create", PODS, namespace=place).allowed
        assert not stranger.may("create", SERVICE_ACCOUNTS, namespace=place, subresource="token").allowed
        assert not stranger.may("get", NAMESPACES, namespace=None, name=place).allowed

    def test_a_right_is_asked_for_where_it_is_given(self, kube: Kube, admin: KubeApi, place: str) -> None:
        meta = {"name": "reads-logs", "namespace": place}
        account = "reader"
        kube.core.create_namespaced_service_account(place, {"metadata": {"name": account}})
        self._grant(kube, place, meta, account)
        reader = admin.acting_as(f"system:serviceaccount:{place}:{account}")

        assert reader.may("get", PODS, namespace=place, subresource="log").allowed
        assert not reader.may("get", PODS, namespace=place).allowed
        assert not reader.may("get", PODS, namespace="default", subresource="log").allowed

    def test_who_may_not_act_as_others_is_told(self, stranger: KubeApi, place: str) -> None:
        with pytest.raises(Denied, match="cannot impersonate"):
            stranger.acting_as(f"system:serviceaccount:{place}:x").may("get", PODS, namespace=place)

    @staticmethod
    def _grant(kube: Kube, place: str, meta: dict[str, str], account: str) -> None:
        from kubernetes import client

        rbac: Any = client.RbacAuthorizationV1Api(kube.core.api_client)
        rules = [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]
        rbac.create_namespaced_role(place, {"metadata": meta, "rules": rules})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": meta["name"]}
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": place}]
        rbac.create_namespaced_role_binding(place, {"metadata": meta, "roleRef": role, "subjects": subjects})


class TestTokens:
    def test_a_token_is_made_for_an_account_and_an_audience(self, kube: Kube, admin: KubeApi, place: str) -> None:
        kube.core.create_namespaced_service_account(place, {"metadata": {"name": "submitter"}})

        made = admin.token("submitter", namespace=place, audience="spark-staging", seconds=900)

        assert made.text.count(".") == 2
        assert made.seconds >= 600

    def test_an_account_that_is_not_there_is_named(self, admin: KubeApi, place: str) -> None:
        with pytest.raises(NotFound, match=f'service account {place}/absent: serviceaccounts "absent" not found'):
            admin.token("absent", namespace=place, audience="x", seconds=900)


class TestConnection:
    def test_version_address_and_user_are_told(self, kube: Kube, admin: KubeApi, stranger: KubeApi) -> None:
        assert re.fullmatch(r"v1\.\d+\..*", admin.version())
        assert admin.address == kube.url
        assert admin.user == "the user 'me' of the kubeconfig (client certificate)"
        assert stranger.user == "the user 'me' of the kubeconfig (token)"

    def test_certificate_and_authority_may_stand_in_the_kubeconfig(self, kube: Kube, tmp_path: Path) -> None:
        from base64 import b64encode

        folder = kube.kubeconfig.parent
        if kube.server is None:
            pytest.skip("the cluster is not ours, so its files are not known")
        pair, authority = (b64encode((folder / name).read_bytes()).decode() for name in ("admin.pem", "ca.pem"))
        user = {"client-certificate-data": pair, "client-key-data": pair}
        path = write_kubeconfig(
            tmp_path / "kubeconfig", kube.url, user=user, cluster={"certificate-authority-data": authority}
        )

        with opened(path) as api:
            assert api.may("create", PODS, namespace="default").allowed

    def test_the_name_in_the_certificate_may_be_another_one(self, kube: Kube, tmp_path: Path) -> None:
        """As behind a tunnel: the address is a name that the certificate does not have."""
        if kube.server is None:
            pytest.skip("the cluster is not ours, so its names are not known")
        port = int(kube.url.rpartition(":")[2])
        url, authority = f"https://cluster.example:{port}", str(kube.kubeconfig.parent / "ca.pem")
        with connect_proxy({"cluster.example": port}) as proxy:
            known = {"proxy-url": proxy.url, "certificate-authority": authority}
            path = write_kubeconfig(tmp_path / "right", url, cluster={**known, "tls-server-name": "localhost"})
            with opened(path) as api:
                assert _knows_nobody(api)
            path = write_kubeconfig(tmp_path / "wrong", url, cluster=known)
            with opened(path) as api, pytest.raises(Exception, match=r"no secure connection.*cluster\.example"):
                api.version()
            path = write_kubeconfig(tmp_path / "any", url, cluster={
                "proxy-url": proxy.url, "insecure-skip-tls-verify": True,
            })  # fmt: skip
            with opened(path) as api:
                assert _knows_nobody(api)

        assert set(proxy.asked) == {("CONNECT", f"cluster.example:{port}")}

    def test_a_watch_goes_through_a_proxy_as_it_comes(self, kube: Kube, place: str, tmp_path: Path) -> None:
        if kube.server is None:
            pytest.skip("the cluster is not ours, so its names are not known")
        port, folder = int(kube.url.rpartition(":")[2]), kube.kubeconfig.parent
        with connect_proxy({"cluster.example": port}) as proxy:
            user = {"client-certificate": str(folder / "admin.pem"), "client-key": str(folder / "admin.pem")}
            cluster = {"certificate-authority": str(folder / "ca.pem"), "tls-server-name": "localhost"}
            path = write_kubeconfig(
                tmp_path / "kubeconfig", f"https://cluster.example:{port}", user=user,
                cluster={**cluster, "proxy-url": proxy.url},
            )  # fmt: skip
            with opened(path) as api:
                version = api.list(CONFIG_MAPS, namespace=place)["metadata"]["resourceVersion"]
                api.create(config_map(place))
                events = api.watch(CONFIG_MAPS, namespace=place, labels="made-by", version=version, seconds=60)
                assert next(events).type == "ADDED"
                events.close()  # type: ignore[attr-defined] # it is a generator
                assert list(api.watch(CONFIG_MAPS, namespace=place, labels="x", version=version, seconds=1)) == []

    def test_many_threads_may_ask_at_once(self, admin: KubeApi, place: str) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda number: admin.create(config_map(place, f"settings-{number}")), range(24)))

        assert len({one["metadata"]["uid"] for one in made}) == 24


def _knows_nobody(api: KubeApi) -> bool:
    """Tell whether the API server was reached; it lets anybody ask for its version, or nobody."""
    try:
        return bool(api.version())
    except (Denied, Unauthenticated):
        return True
