"""`submission.running.cluster` and the watch for the driver, against a real Kubernetes API server."""

import base64
import json
import socketserver
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
import yaml

from staging_io.staging import StagingClient
from staging_protocol.api.creation import NewBundle
from staging_protocol.api.info import PodEndpoint
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    PeerNotTrusted,
    TransientError,
    Unauthenticated,
    Unavailable,
)
from staging_protocol.pod_contract import LABEL, secret_name
from staging_protocol.tokens import BundleId, Token, TokenKind
from submission.bundle_secret import bundle_secret
from submission.kube import own_identity
from submission.running.cluster import Cluster, DriverPod, cluster
from submission.running.driver_watch import DriverWatch
from tests.services.kube_api import KubeApi
from tests.submission.conftest import Server, until

pytestmark = pytest.mark.services

BUNDLE = BundleId.generate()
TOKEN = Token.generate(TokenKind.BUNDLE, identifier=BUNDLE)
NAME = secret_name(BUNDLE)
SECRETIVE = "a-token-of-a-kubeconfig"
HERE: dict[str, Any] = {
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
}
"""A kubeconfig without its users."""


@pytest.fixture
def place(kube: KubeApi) -> Iterator[str]:
    """A namespace of the API server."""
    with kube.namespace() as name:
        yield name


@pytest.fixture
def administrator(kube: KubeApi, place: str) -> Iterator[Cluster]:
    with opened(kube, namespace=place) as found:
        yield found


@pytest.fixture
def stranger(kube: KubeApi, place: str) -> Iterator[Cluster]:
    with opened(kube, namespace=place, kubeconfig=kube.stranger) as found:
        yield found


def opened(kube: KubeApi, *, namespace: str, kubeconfig: Path | None = None, context: str | None = None) -> Any:
    path = str(kubeconfig or kube.kubeconfig)
    return cluster(kubeconfig=path, context=context, master=f"k8s://{kube.url}", namespace=namespace)


def secret(namespace: str, *, bundle: BundleId = BUNDLE, ca: str | None = None) -> dict[str, Any]:
    pods = PodEndpoint(url="https://staging.example", ca=ca)
    return bundle_secret(bundle, namespace=namespace, token=TOKEN, pods=pods)


def start_pod(kube: KubeApi, namespace: str, *, bundle: BundleId = BUNDLE, role: str = "driver") -> DriverPod:
    """Create a pod with Spark's labels; no node takes it."""
    name = f"demo-{uuid4().hex[:8]}-{role}"
    labels = {"spark-role": role, "spark-app-selector": f"spark-{uuid4().hex}", LABEL: bundle}
    account = {"metadata": {"name": f"{name}-account"}}
    kube.core.create_namespaced_service_account(namespace, account)
    pod = {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "containers": [{"name": "spark-kubernetes-driver", "image": "example.invalid/spark:none"}],
            "nodeSelector": {"example.invalid/node": "none"},
            "serviceAccountName": account["metadata"]["name"],
            "automountServiceAccountToken": False,
        },
    }
    return DriverPod(name=name, uid=kube.core.create_namespaced_pod(namespace, pod).metadata.uid)


def owner_of(kube: KubeApi, namespace: str, *, name: str = NAME) -> list[dict[str, Any]]:
    owners: list[dict[str, Any]] = kube.get_secret(name, namespace=namespace)["metadata"].get("ownerReferences", [])
    return owners


def as_owner(pod: DriverPod) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}


class TestSecrets:
    def test_a_secret_holds_token_and_authority_is_labelled_and_cannot_be_changed(
        self, kube: KubeApi, administrator: Cluster, place: str
    ) -> None:
        administrator.create_secret(secret(place, ca="-----BEGIN CERTIFICATE-----"))

        found = kube.get_secret(NAME, namespace=place)
        data = {key: base64.b64decode(value).decode() for key, value in found["data"].items()}
        assert data == {"token": TOKEN.text, "ca.crt": "-----BEGIN CERTIFICATE-----"}
        assert (found["type"], found["immutable"]) == ("Opaque", True)
        assert found["metadata"]["labels"] == {LABEL: BUNDLE}
        assert found["metadata"]["namespace"] == place

    def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(
        self, kube: KubeApi, administrator: Cluster, place: str
    ) -> None:
        administrator.create_secret(secret(place))

        with pytest.raises(InvalidRequest, match="already exists; has this bundle been run before"):
            administrator.create_secret(secret(place, ca="another"))

        assert set(kube.get_secret(NAME, namespace=place)["data"]) == {"token"}

    def test_a_secret_that_kubernetes_finds_invalid_is_not_worth_a_second_try(
        self, administrator: Cluster, place: str
    ) -> None:
        wrong = secret(place)
        wrong["metadata"]["labels"] = {LABEL: "no label"}

        with pytest.raises(InvalidRequest, match="a valid label must be") as failure:
            administrator.create_secret(wrong)

        assert not failure.value.retryable

    def test_a_namespace_that_is_missing_is_named_with_the_setting(self, kube: KubeApi) -> None:
        with (
            opened(kube, namespace="absent") as found,
            pytest.raises(NotFound, match=r'namespaces "absent" not found; check .*spark\.kubernetes\.namespace'),
        ):
            found.create_secret(secret("absent"))

    def test_deleting_takes_the_secret_of_this_bundle_and_may_be_done_twice(
        self, kube: KubeApi, administrator: Cluster, place: str
    ) -> None:
        other = BundleId.generate()
        administrator.create_secret(secret(place))
        administrator.create_secret(secret(place, bundle=other))

        administrator.delete_secret(BUNDLE)
        administrator.delete_secret(BUNDLE)

        assert [item.metadata.name for item in kube.core.list_namespaced_secret(place, label_selector=LABEL).items] == [
            secret_name(other)
        ]


class TestRights:
    @pytest.mark.parametrize(
        ("call", "what"),
        [
            (lambda found, place: found.create_secret(secret(place)), "create secrets"),
            (lambda found, _: found.delete_secret(BUNDLE), "delete secrets"),
            (lambda found, _: found.own_secret(BUNDLE, pod=DriverPod(name="x", uid="y")), "patch secrets"),
            (lambda found, _: found.driver_pod(BUNDLE), "list pods"),
        ],
    )
    def test_a_user_without_rights_learns_what_is_not_allowed_where_and_who_changes_it(
        self, call: Callable[[Cluster, str], Any], what: str, stranger: Cluster, place: str
    ) -> None:
        with pytest.raises(Denied) as failure:
            call(stranger, place)

        assert f"refused to {what} in namespace {place}" in failure.value.detail
        assert "system:serviceaccount:" in failure.value.detail
        assert "the cluster's administrators" in failure.value.detail

    def test_a_token_that_the_cluster_does_not_know_asks_for_a_new_login_and_is_not_shown(
        self, kube: KubeApi, place: str, tmp_path: Path
    ) -> None:
        path = changed(kube, tmp_path, lambda content: content["users"][0].update(user={"token": SECRETIVE}))

        with opened(kube, namespace=place, kubeconfig=path) as found, pytest.raises(Unauthenticated) as failure:
            found.create_secret(secret(place))

        assert "log in again" in failure.value.detail
        assert SECRETIVE not in everything_of(failure.value)

    def test_no_refusal_shows_the_bundles_token(self, administrator: Cluster, stranger: Cluster, place: str) -> None:
        administrator.create_secret(secret(place))
        wrong = secret(place)
        wrong["metadata"]["name"] = wrong["stringData"]["token"]

        for found, given in ((stranger, secret(place)), (administrator, secret(place)), (administrator, wrong)):
            with pytest.raises((Denied, InvalidRequest)) as failure:
                found.create_secret(given)
            assert TOKEN.secret not in failure.value.detail


class TestDriverPod:
    def test_only_the_driver_of_this_bundle_in_this_namespace_is_found(
        self, kube: KubeApi, administrator: Cluster, place: str
    ) -> None:
        start_pod(kube, place, role="executor")
        start_pod(kube, place, bundle=BundleId.generate())
        with kube.namespace() as elsewhere:
            start_pod(kube, elsewhere)
            assert administrator.driver_pod(BUNDLE) is None

        pod = start_pod(kube, place)

        assert administrator.driver_pod(BUNDLE) == pod

    def test_the_pod_becomes_the_owner_of_the_immutable_secret_and_may_do_so_twice(
        self, kube: KubeApi, administrator: Cluster, place: str
    ) -> None:
        administrator.create_secret(secret(place))
        pod = start_pod(kube, place)

        administrator.own_secret(BUNDLE, pod=pod)
        administrator.own_secret(BUNDLE, pod=pod)

        assert owner_of(kube, place) == [as_owner(pod)]
        assert base64.b64decode(kube.get_secret(NAME, namespace=place)["data"]["token"]).decode() == TOKEN.text

    def test_a_secret_that_is_gone_cannot_be_owned(self, administrator: Cluster) -> None:
        with pytest.raises(NotFound, match=f'"{NAME}" not found'):
            administrator.own_secret(BUNDLE, pod=DriverPod(name="x", uid="y"))


class TestKubeconfig:
    def test_a_context_is_chosen_by_its_name_and_the_current_one_without(
        self, kube: KubeApi, place: str, tmp_path: Path
    ) -> None:
        def add(content: dict[str, Any]) -> None:
            (me,) = (user for user in content["users"] if user["name"] == context_of(content)["user"])
            content["users"] = [{**me, "name": "other"}, {"name": me["name"], "user": {"token": SECRETIVE}}]
            content["contexts"].append({"name": "second", "context": {**context_of(content), "user": "other"}})

        path = changed(kube, tmp_path, add)

        with opened(kube, namespace=place, kubeconfig=path, context="second") as found:
            assert found.driver_pod(BUNDLE) is None
        with opened(kube, namespace=place, kubeconfig=path) as found, pytest.raises(Unauthenticated):
            found.driver_pod(BUNDLE)

    @pytest.mark.parametrize("who", ["kubeconfig", "stranger"])
    def test_the_master_wins_over_the_address_of_the_kubeconfig_in_every_call(
        self, who: str, kube: KubeApi, place: str, tmp_path: Path
    ) -> None:
        """One of them has a client certificate, the other a token."""

        def move(content: dict[str, Any]) -> None:
            content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"

        path = changed(kube, tmp_path, move, of=getattr(kube, who))

        with opened(kube, namespace=place, kubeconfig=path) as found:
            for _ in range(2):
                assert answers(found)

    def test_a_login_that_has_expired_is_renewed_during_the_run(
        self, kube: KubeApi, place: str, tmp_path: Path
    ) -> None:
        """The kubeconfig names a program that logs in, as in clouds."""
        written = tmp_path / "login.json"
        plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "cat", "args": [str(written)]}

        def log_in(token: str) -> None:
            status = {"token": token, "expirationTimestamp": "2020-01-01T00:00:00Z"}
            written.write_text(json.dumps({"kind": "ExecCredential", **plugin, "status": status}))

        log_in(SECRETIVE)
        path = changed(kube, tmp_path, lambda content: content["users"][0].update(user={"exec": plugin}))
        with opened(kube, namespace=place, kubeconfig=path) as found:
            with pytest.raises(Unauthenticated):
                found.driver_pod(BUNDLE)
            log_in(yaml.safe_load(kube.stranger.read_text())["users"][0]["user"]["token"])
            assert answers(found)

    @pytest.mark.parametrize("empty", [None, ""])
    def test_without_a_name_the_usual_file_is_taken(
        self, empty: str | None, kube: KubeApi, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".kube").mkdir()
        (tmp_path / ".kube" / "config").write_bytes(kube.kubeconfig.read_bytes())

        with cluster(kubeconfig=empty, context=None, master=f"k8s://{kube.url}", namespace=place) as found:
            assert found.driver_pod(BUNDLE) is None

    def test_in_a_pod_without_a_kubeconfig_the_pods_account_is_taken(
        self, kube: KubeApi, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = yaml.safe_load(kube.stranger.read_text())
        (tmp_path / "token").write_text(content["users"][0]["user"]["token"])
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
        authority = content["clusters"][0]["cluster"]["certificate-authority"]
        (tmp_path / "ca.crt").write_bytes(Path(authority).read_bytes())
        monkeypatch.setattr(own_identity, "FOLDER", tmp_path)

        with (
            opened(kube, namespace=place, kubeconfig=tmp_path / "absent") as found,
            pytest.raises(Denied, match=r"system:serviceaccount:.*:stranger"),
        ):
            found.driver_pod(BUNDLE)

    def test_in_a_pod_a_broken_kubeconfig_is_not_passed_over(
        self, kube: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(own_identity, "own_endpoint", pytest.fail)
        (tmp_path / "kubeconfig").write_text("")

        with (
            pytest.raises(InvalidRequest, match="is empty"),
            opened(kube, namespace="default", kubeconfig=tmp_path / "kubeconfig"),
        ):
            pass

    @pytest.mark.parametrize("usual", ["", "other.example"])
    def test_a_cluster_on_this_machine_is_not_asked_through_a_proxy(
        self, usual: str, kube: KubeApi, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", usual)

        with opened(kube, namespace=place) as found:
            assert answers(found)

    def test_an_unknown_context_is_named(self, kube: KubeApi) -> None:
        with (
            pytest.raises(InvalidRequest, match=r"has no context 'nowhere' .there are: here"),
            opened(kube, namespace="default", context="nowhere"),
        ):
            pass

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (None, "does not exist; set KUBECONFIG"),
            ("", "is empty"),
            (json.dumps({"users": [{"name": "me", "token": SECRETIVE}]}), "'me' of users in .* has no `user`"),
            (json.dumps({"users": {"me": SECRETIVE}}), "users of .* is malformed"),
            (json.dumps({"users": [{"name": "me", "user": {"token": SECRETIVE}}]}), "has no current-context"),
            (json.dumps({"users": [{"name": "me", "user": {"token": [SECRETIVE]}}], **HERE}), "token of the user 'me'"),
            (f"users: [{{token: *{SECRETIVE}}}]", "malformed"),
            (f"users:\n- {SECRETIVE}: [", r"YAML of .* .line \d+. is malformed"),
            (SECRETIVE, "malformed"),
            (json.dumps({"users": [{"name": "me", "user": {}}, {"user": {"token": SECRETIVE}}]}), "without a name"),
        ],
    )
    def test_a_file_that_is_no_kubeconfig_is_a_plain_error_without_what_stands_in_it(
        self, content: str | None, why: str, kube: KubeApi, tmp_path: Path
    ) -> None:
        path = tmp_path / "kubeconfig"
        if content is not None:
            path.write_text(content)

        with pytest.raises(InvalidRequest, match=why) as failure, opened(kube, namespace="default", kubeconfig=path):
            pass

        assert SECRETIVE not in everything_of(failure.value)

    def test_a_user_entry_with_its_token_in_the_wrong_place_is_not_shown(self, kube: KubeApi, tmp_path: Path) -> None:
        def misplace(content: dict[str, Any]) -> None:
            content["users"] = [{"name": context_of(content)["user"], "token": SECRETIVE}]

        path = changed(kube, tmp_path, misplace)

        with (
            pytest.raises(InvalidRequest, match=r"of users in .* has no `user`") as failure,
            opened(kube, namespace="default", kubeconfig=path),
        ):
            pass

        assert str(path) in failure.value.detail
        assert SECRETIVE not in everything_of(failure.value)


class TestUnreachable:
    def test_nobody_listens(self, kube: KubeApi) -> None:
        with (
            cluster(kubeconfig=str(kube.kubeconfig), context=None, master="k8s://127.0.0.1:1", namespace="x") as found,
            pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 does not answer: Connection refused; check --master"),
        ):
            found.create_secret(secret("x"))

    def test_another_authority_than_that_of_the_kubeconfig(self, kube: KubeApi, place: str, tmp_path: Path) -> None:
        authority = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()

        def distrust(content: dict[str, Any]) -> None:
            trust = content["clusters"][0]["cluster"]
            content["clusters"][0]["cluster"] = {"server": trust["server"], "certificate-authority-data": authority}

        path = changed(kube, tmp_path, distrust)

        with opened(kube, namespace=place, kubeconfig=path) as found, pytest.raises(PeerNotTrusted) as failure:
            found.create_secret(secret(place))

        assert "no secure connection" in failure.value.detail
        assert "certificate" in failure.value.detail
        assert "certificate-authority of the kubeconfig belong to the address of --master?" in failure.value.detail
        assert "\n" not in failure.value.detail

    def test_what_answers_is_no_kubernetes(self, kube: KubeApi, server: Server) -> None:
        """Here it is a staging server; in the field, the page of a proxy."""
        master = f"k8s://{server.url}/livez?"
        with (
            cluster(kubeconfig=str(kube.kubeconfig), context=None, master=master, namespace="x") as found,
            pytest.raises(Unavailable, match="is no Kubernetes API"),
        ):
            found.driver_pod(BUNDLE)

    def test_a_server_that_hangs_up_is_worth_another_try(self, kube: KubeApi, hanging_up: str) -> None:
        with (
            cluster(
                kubeconfig=str(kube.kubeconfig), context=None, master=f"k8s://{hanging_up}", namespace="x"
            ) as found,
            pytest.raises(Unavailable, match="cannot be asked to list pods") as failure,
        ):
            found.driver_pod(BUNDLE)

        assert failure.value.retryable


class TestWatch:
    """The watch with real servers on both sides."""

    def test_a_pod_that_appears_during_the_run_owns_secret_and_bundle(
        self, kube: KubeApi, administrator: Cluster, place: str, server: Server
    ) -> None:
        bundle = staged(server, place)
        administrator.create_secret(secret(place, bundle=bundle))
        notices: list[str] = []
        watch = watching(administrator, server.client(), place, bundle=bundle, notice=notices.append)
        assert not watch.look()

        with watch.looking():
            pod = start_pod(kube, place, bundle=bundle)
            until(lambda: owner_of(kube, place, name=secret_name(bundle)), what="the owner of the Secret")
            until(lambda: server.client().bundle(place, bundle).owner, what="the owner of the bundle")

        assert watch.look()
        assert owner_of(kube, place, name=secret_name(bundle)) == [as_owner(pod)]
        assert server.client().bundle(place, bundle).owner == pod.as_owner()
        assert notices == []

    def test_without_rights_the_watch_says_once_what_stays(self, stranger: Cluster, place: str, server: Server) -> None:
        bundle = staged(server, place)
        notices: list[str] = []

        with watching(stranger, server.client(), place, bundle=bundle, notice=notices.append).looking():
            until(lambda: notices, what="the notice")

        (notice,) = notices
        assert "refused to list pods" in notice
        assert "the bundle stays until its time to live is over" in notice
        assert f"delete the Secret {secret_name(bundle)} when the job has ended" in notice

    def test_the_bundle_gets_its_owner_though_the_secret_is_gone(
        self, kube: KubeApi, administrator: Cluster, place: str, server: Server
    ) -> None:
        bundle = staged(server, place)
        pod = start_pod(kube, place, bundle=bundle)
        notices: list[str] = []

        with watching(administrator, server.client(), place, bundle=bundle, notice=notices.append).looking():
            until(lambda: notices, what="the notice")

        assert server.client().bundle(place, bundle).owner == pod.as_owner()
        assert "the bundle stays" not in notices[0]

    def test_the_secret_gets_its_owner_though_the_staging_server_is_away_for_now(
        self, kube: KubeApi, administrator: Cluster, place: str, server: Server
    ) -> None:
        bundle = staged(server, place)
        administrator.create_secret(secret(place, bundle=bundle))
        pod = start_pod(kube, place, bundle=bundle)
        away = StagingClient(url="http://127.0.0.1:1", token=None, http=server.http)

        with pytest.raises(TransientError, match="does not answer"):
            watching(administrator, away, place, bundle=bundle, notice=pytest.fail).look()

        assert owner_of(kube, place, name=secret_name(bundle)) == [as_owner(pod)]


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """The address of a server that closes every connection without a word."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()
        thread.join()


def staged(server: Server, namespace: str) -> BundleId:
    """Create a bundle without files, which is sealed at once."""
    created = server.client().create(namespace, NewBundle(application="demo"), idempotency_key=uuid4().hex)
    return BundleId(created.id)


def watching(
    found: Cluster, client: StagingClient, namespace: str, *, bundle: BundleId, notice: Callable[[str], None]
) -> DriverWatch:
    return DriverWatch(cluster=found, client=client, namespace=namespace, bundle=bundle, has_secret=True, notice=notice)


def context_of(content: dict[str, Any]) -> dict[str, Any]:
    """Return the current context of a kubeconfig."""
    (found,) = (entry for entry in content["contexts"] if entry["name"] == content["current-context"])
    context: dict[str, Any] = found["context"]
    return context


def answers(found: Cluster) -> bool:
    """Tell whether the API server knows the caller; whether the caller has rights does not count."""
    with suppress(Denied):
        found.driver_pod(BUNDLE)
    return True


def changed(kube: KubeApi, folder: Path, change: Callable[[dict[str, Any]], None], *, of: Path | None = None) -> Path:
    """Write a kubeconfig, the administrator's unless another is given, with a change."""
    content = yaml.safe_load((of or kube.kubeconfig).read_text())
    change(content)
    path = folder / "changed-kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


def everything_of(error: BaseException) -> str:
    """Return the error as a traceback shows it, with its causes."""
    return "".join(traceback.format_exception(error))
