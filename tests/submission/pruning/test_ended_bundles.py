"""Secrets that outlived their bundles: a real API server holds them, a real staging server knows the bundles."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from staging_protocol.api.info import PodEndpoint
from staging_protocol.errors import ExitCode, NotFound
from staging_protocol.pod_contract import LABEL
from staging_protocol.tokens import BundleId, Token, TokenKind
from submission.bundle_secret import bundle_secret
from submission.kube.answers import KubeObject
from submission.kube.request import Request
from submission.kube.transport import Transport
from tests.resolver.faulty_server import FaultyServer, Handler
from tests.services.kube_api import KubeApi
from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import STAGE, Command, Server

pytestmark = pytest.mark.services


class Place:
    """A namespace of the API server, and the command set up for it."""

    def __init__(self, kube: KubeApi, job: Command, server: Server, *, name: str) -> None:
        self.kube = kube
        self.job = job
        self.server = server
        self.name = name

    def secret(self, bundle: BundleId, *, server: str | None = None, **metadata: Any) -> str:
        """Create the Secret of a bundle; return its name."""
        token = Token.generate(TokenKind.BUNDLE, identifier=bundle)
        pods = PodEndpoint(url=server or self.server.url)
        secret = bundle_secret(bundle, namespace=self.name, token=token, pods=pods)
        secret["metadata"] |= metadata
        self.kube.core.create_namespaced_secret(self.name, secret)
        return str(secret["metadata"]["name"])

    def staged(self) -> BundleId:
        return BundleId(self.job.json(*STAGE)["bundle"])

    def ended(self) -> BundleId:
        bundle = self.staged()
        self.server.client().delete(self.name, bundle)
        return bundle

    def secrets(self) -> set[str]:
        return {item.metadata.name for item in self.kube.core.list_namespaced_secret(self.name).items}

    def fates(self, *arguments: str) -> dict[str, str]:
        found = self.job.json("bundles", "prune", *arguments)
        return {item["name"]: item["fate"] for item in found}


@pytest.fixture
def place(kube: KubeApi, job: Command, server: Server) -> Iterator[Place]:
    with kube.namespace() as name:
        job.environment |= {"KUBECONFIG": str(kube.kubeconfig), "SPARK_STAGING_NAMESPACE": name}
        yield Place(kube, job, server, name=name)


def test_secrets_of_ended_and_unknown_bundles_go_and_those_of_live_ones_stay(place: Place) -> None:
    live = place.secret(place.staged())
    ended, unknown = place.secret(place.ended()), place.secret(BundleId.generate())

    assert place.fates("--dry-run") == {live: "kept", ended: "would be deleted", unknown: "would be deleted"}
    assert place.secrets() == {live, ended, unknown}
    assert place.fates() == {live: "kept", ended: "deleted", unknown: "deleted"}
    assert place.secrets() == {live}
    assert place.fates() == {live: "kept"}


def test_a_table_says_which_and_why(place: Place) -> None:
    name = place.secret(place.ended())

    done = place.job.inside("bundles", "prune", "--dry-run")

    assert done.returncode == 0, done.stderr
    heading, row = done.stdout.splitlines()
    assert heading.split() == ["NAMESPACE", "OBJECT", "FATE", "WHY"]
    assert row.split() == [place.name, f"secret/{name}", "would", "be", "deleted", "its", "bundle", "is", "gone"]


def test_only_what_has_our_label_our_name_and_this_server_is_looked_at(place: Place) -> None:
    gone = [place.ended() for _ in range(4)]
    other_name = place.secret(gone[0], name="mine")
    no_label = place.secret(gone[1], labels={"app": "mine"})
    no_bundle = place.secret(gone[2], labels={LABEL: "nightly"})
    elsewhere = place.secret(gone[3], server="https://other.example")

    assert place.fates() == {elsewhere: "kept"}
    assert place.secrets() == {other_name, no_label, no_bundle, elsewhere}


def test_a_secret_that_says_nothing_of_its_server_belongs_to_the_one_that_is_asked(place: Place) -> None:
    name = place.secret(place.ended(), annotations={})

    assert place.fates() == {name: "deleted"}


def test_live_bundles_are_asked_about_in_pages_and_not_one_by_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.commands.calling.PAGE", 2)
    monkeypatch.setattr("submission.kube.listing.PAGE", 2)
    asked: list[str] = []
    monkeypatch.setattr("staging_io.staging.StagingClient.has_ended", lambda _client, _ns, id_: asked.append(id_))
    names = {place.secret(place.staged()) for _ in range(5)}

    assert set(place.fates()) == names
    assert asked == []


def test_all_namespaces_are_looked_at_when_asked(place: Place, kube: KubeApi) -> None:
    ended = place.secret(place.ended())
    with kube.namespace() as other:
        place.name = place.job.environment["SPARK_STAGING_NAMESPACE"] = other
        second = place.secret(place.ended())
        del place.job.environment["SPARK_STAGING_NAMESPACE"]

        fates = place.fates("--all-namespaces")

    assert (fates[ended], fates[second]) == ("deleted", "deleted")


def test_who_may_not_list_secrets_is_told_so(place: Place) -> None:
    name = place.secret(place.ended())
    place.job.environment["KUBECONFIG"] = str(place.kube.stranger)

    done = place.job.inside("bundles", "prune")

    assert done.returncode == ExitCode.DENIED
    assert "list secrets in namespace" in done.stderr
    assert place.secrets() == {name}


def test_who_may_look_and_not_delete_is_told_what_would_go_and_nothing_is_said_to_be_deleted(
    place: Place, town: Cluster
) -> None:
    names = {place.secret(place.ended()) for _ in range(2)}
    town.account(place.name, "looker", role="view")
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    role = town.rbac.create_namespaced_role(place.name, {"metadata": {"name": "looker"}, "rules": [rule]})
    town.rbac.create_namespaced_role_binding(
        place.name,
        {
            "metadata": {"name": "looker"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
            "subjects": [{"kind": "ServiceAccount", "namespace": place.name, "name": "looker"}],
        },
    )
    place.job.environment["KUBECONFIG"] = str(town.kubeconfig(place.name, "looker"))

    assert place.fates("--dry-run") == dict.fromkeys(names, "would be deleted")
    done = place.job.inside("bundles", "prune", "-o", "json")

    assert done.returncode == ExitCode.DENIED
    assert "delete secrets" in done.stderr
    assert json.loads(done.stdout) == []
    assert place.secrets() == names


class Doubtful:
    """A server that says that there are no bundles, and something unclear about each of them."""

    def __init__(self, faulty: FaultyServer, place: Place) -> None:
        self.faulty = faulty
        self.place = place
        info = {
            "server": "x", "api_versions": ["v1"], "auth_mode": "none", "pods": {"url": place.server.url},
            "limits": {"file_size": 1, "create_body_size": 1, "files_per_bundle": 1},
        }  # fmt: skip
        faulty.files["/v1/info"] = json.dumps(info).encode()
        faulty.files[f"/v1/namespaces/{place.name}/bundles"] = b'{"bundles": []}'

    def prune(self, bundle: BundleId, *, status: int, body: bytes) -> int:
        def answer(handler: Handler) -> None:
            handler.answer(status, body)

        path = f"/v1/namespaces/{self.place.name}/bundles/{bundle}"
        self.faulty.faults[path] = [answer] * 50
        self.place.job.environment |= {"SPARK_STAGING_URL": self.faulty.url, "SPARK_STAGING_RETRY_SECONDS": "0"}
        return self.place.job.inside("bundles", "prune").returncode


def problem(code: str, status: int) -> bytes:
    fields = {"type": "about:blank", "title": "t", "status": status, "detail": "d", "code": code}
    return json.dumps({**fields, "retryable": False, "request_id": "1"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, b"<html>not found</html>", ExitCode.NOT_FOUND),
        (410, b"", ExitCode.BUNDLE_EXPIRED),
        (404, problem("denied", 404), ExitCode.DENIED),
        (410, problem("not-found", 410), ExitCode.NOT_FOUND),
        (403, problem("denied", 403), ExitCode.DENIED),
        (401, problem("unauthenticated", 401), ExitCode.DENIED),
        (503, problem("unavailable", 503), ExitCode.UNAVAILABLE),
        (500, b"", ExitCode.UNAVAILABLE),
        (200, b"{}", ExitCode.USAGE),
        (204, b"", ExitCode.USAGE),
    ],
)
def test_nothing_is_deleted_unless_the_server_clearly_says_so(
    status: int, body: bytes, code: ExitCode, place: Place
) -> None:
    bundle = BundleId.generate()
    name = place.secret(bundle)
    with FaultyServer() as faulty:
        assert Doubtful(faulty, place).prune(bundle, status=status, body=body) == code
    assert place.secrets() == {name}


@pytest.mark.parametrize(("status", "code"), [(404, "not-found"), (410, "bundle-expired")])
def test_the_clear_words_of_a_server_are_believed(status: int, code: str, place: Place) -> None:
    bundle = BundleId.generate()
    place.secret(bundle)
    with FaultyServer() as faulty:
        assert Doubtful(faulty, place).prune(bundle, status=status, body=problem(code, status)) == 0
    assert place.secrets() == set()


def test_no_token_is_read_from_the_cluster(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[KubeObject] = []
    ask = Transport.answer

    def kept(transport: Transport, request: Request) -> KubeObject:
        answers.append(ask(transport, request))
        return answers[-1]

    monkeypatch.setattr(Transport, "answer", kept)
    name = place.secret(place.staged())

    assert place.fates("--dry-run") == {name: "kept"}
    listed = [item for answer in answers for item in answer.get("items") or ()]
    assert [item["metadata"]["name"] for item in listed] == [name]
    assert all("data" not in item for item in listed)


def test_a_namespace_that_the_server_does_not_know_is_an_error_and_costs_no_secret(place: Place) -> None:
    """As when the kubeconfig names another cluster than the server's."""
    name = place.secret(BundleId.generate())
    with FaultyServer() as faulty:
        doubtful = Doubtful(faulty, place)
        del faulty.files[f"/v1/namespaces/{place.name}/bundles"]
        assert doubtful.prune(BundleId.generate(), status=200, body=b"") == NotFound.exit_code
    assert place.secrets() == {name}
