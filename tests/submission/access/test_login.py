"""The command's identity of Kubernetes: each kind of kubeconfig, a real API server, a server that asks who comes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from staging_io.http import HttpClient
from staging_protocol.errors import ExitCode, InvalidRequest, RefusedByPolicy
from submission.access.account_token import AccountToken
from submission.access.connection import http_settings
from submission.access.login import Login
from submission.kube import own_identity
from submission.kube.api import KubeApi
from submission.kube.connect import kube_api
from submission.settings import Settings
from tests.resolver.faulty_server import FaultyServer
from tests.services.kube_programs import write_kubeconfig
from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import STAGE, Command, Server, serve

pytestmark = pytest.mark.services

SECRETIVE = "a-token-of-a-kubeconfig"


def settings_of(town: Cluster, **more: str) -> dict[str, str]:
    """Return the environment of a server that knows callers by the cluster."""
    return {
        "SPARK_STAGING_SERVER_AUTH__MODE": "kubernetes",
        "SPARK_STAGING_SERVER_KUBERNETES__CONNECT": "kubeconfig",
        "SPARK_STAGING_SERVER_KUBERNETES__KUBECONFIG": str(town.kubeconfig(town.home, "spark-staging")),
        **more,
    }


def with_tls(folder: Path) -> dict[str, str]:
    """Write an authority, `ca.pem`, and what it issued; return the settings of a server that has it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")
    issued.private_key_pem.write_to_path(folder / "server.key")
    return {
        "SPARK_STAGING_SERVER_TLS__CERTIFICATE_FILE": str(folder / "server.pem"),
        "SPARK_STAGING_SERVER_TLS__KEY_FILE": str(folder / "server.key"),
        "SPARK_STAGING_SERVER_POD_CA_FILE": str(folder / "ca.pem"),
    }


@pytest.fixture(scope="module")
def guarded(town: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Takes tokens that are made for it only."""
    yield from serve(tmp_path_factory.mktemp("guarded"), **settings_of(town))


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """A server that takes tokens of the API server, too, and the file of its authority."""

    server: Server
    authority: Path


@pytest.fixture(scope="module")
def trusted(town: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusted]:
    folder = tmp_path_factory.mktemp("trusted")
    settings = settings_of(town, SPARK_STAGING_SERVER_AUTH__API_SERVER_TOKENS="true", **with_tls(folder))
    for server in serve(folder, folder / "ca.pem", **settings):
        yield Trusted(server=server, authority=folder / "ca.pem")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A namespace with the accounts `submitter`, who may stage, and `nobody`, who may nothing."""

    town: Cluster
    name: str
    folder: Path

    def api_token(self, account: str) -> str:
        return self.town.token(self.name, account, audiences=())

    def kubeconfig(self, user: dict[str, Any]) -> Path:
        """Write a kubeconfig of the cluster, with this user."""
        path = self.folder / f"kubeconfig-{len(list(self.folder.iterdir()))}"
        kube = self.town.kube
        write_kubeconfig(path, kube.url, str(kube.kubeconfig.parent / "ca.pem"), user)
        return path

    def login_program(self, token: str, *, version: str, until: str = "2099-01-01T00:00:00Z") -> dict[str, Any]:
        """Return the `exec` of a user, whose program prints what its environment holds and notes each run."""
        program = self.folder / "login"
        status = f'{{"token": "\'"$LOGIN_TOKEN"\'", "expirationTimestamp": "{until}"}}'
        kind = f'"apiVersion": "client.authentication.k8s.io/{version}", "kind": "ExecCredential"'
        program.write_text(
            f"#!/bin/sh\necho run >> {self.folder}/runs\nprintf '%s' '{{{kind}, \"status\": {status}}}'\n"
        )
        program.chmod(0o755)
        return {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": str(program),
            "env": [{"name": "LOGIN_TOKEN", "value": token}],
            "interactiveMode": "Never",
        }


@pytest.fixture
def place(town: Cluster, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "place").mkdir()
    with town.kube.namespace() as name:
        town.account(name, "submitter", role="spark-staging-submitter")
        town.account(name, "nobody")
        yield Place(town=town, name=name, folder=tmp_path / "place")


def at(job: Command, server: Server | Trusted, *, place: Place, user: dict[str, Any] | None = None) -> Command:
    """Set the command up for a server, a namespace and a kubeconfig of `user`; None: of the administrator."""
    kubeconfig = place.town.kube.kubeconfig if user is None else place.kubeconfig(user)
    if isinstance(server, Trusted):
        job.environment["SPARK_STAGING_CA_FILE"] = str(server.authority)
        server = server.server
    job.environment |= {
        "SPARK_STAGING_URL": server.url,
        "SPARK_STAGING_NAMESPACE": place.name,
        "KUBECONFIG": str(kubeconfig),
    }
    return job


def refused(job: Command, *arguments: str, code: int = ExitCode.DENIED) -> str:
    """Run `stage`, which fails in one line; return that."""
    done = job.inside(*STAGE, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


class TestAccount:
    def test_an_account_of_the_jobs_namespace_stages_with_one_request_and_no_bytes_the_second_time(
        self, job: Command, guarded: Server, place: Place
    ) -> None:
        at(job, guarded, place=place)

        first = job.json(*STAGE, "--service-account", "submitter")
        again = job.json(*STAGE, "--service-account", "submitter")

        assert first["bytes_staged"] > 0
        assert (again["bytes_staged"], again["requests"]) == (0, 1)
        listed = job.json("bundles", "list", "--service-account", "submitter")
        assert [one["created_by"] for one in listed] == [f"user:system:serviceaccount:{place.name}:submitter"] * 2

    def test_an_account_of_another_namespace_is_named_with_it(
        self, job: Command, guarded: Server, place: Place
    ) -> None:
        at(job, guarded, place=place)
        job.environment["SPARK_STAGING_SERVICE_ACCOUNT"] = f"{place.name}/submitter"

        assert "in namespace 'elsewhere'" in refused(job, "-n", "elsewhere")
        assert job.inside(*STAGE).returncode == 0

    def test_any_identity_that_may_make_tokens_of_it_will_do(self, job: Command, guarded: Server, place: Place) -> None:
        rule = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}
        role = {"metadata": {"name": "makes-tokens"}, "rules": [rule]}
        place.town.rbac.create_namespaced_role(place.name, role)
        binding = {
            "metadata": {"name": "makes-tokens"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "makes-tokens"},
            "subjects": [{"kind": "ServiceAccount", "namespace": place.name, "name": "nobody"}],
        }
        at(job, guarded, place=place, user={"token": place.api_token("nobody")})
        assert "refused to create a token of the service account" in refused(job, "--service-account", "submitter")

        place.town.rbac.create_namespaced_role_binding(place.name, binding)

        assert job.inside(*STAGE, "--service-account", "submitter").returncode == 0

    def test_the_audience_is_the_one_that_the_server_says(
        self, job: Command, town: Cluster, place: Place, tmp_path: Path
    ) -> None:
        (tmp_path / "server").mkdir()
        settings = settings_of(town, SPARK_STAGING_SERVER_AUTH__AUDIENCE="https://staging.example")
        for server in serve(tmp_path / "server", **settings):
            at(job, server, place=place)
            assert job.inside(*STAGE, "--service-account", "submitter").returncode == 0

    def test_an_account_without_rights_is_told_which_one_it_needs(
        self, job: Command, guarded: Server, place: Place
    ) -> None:
        at(job, guarded, place=place)

        assert "this needs the right to create" in refused(job, "--service-account", "nobody")

    def test_an_account_that_is_not_there_is_named(self, job: Command, guarded: Server, place: Place) -> None:
        at(job, guarded, place=place)

        assert 'serviceaccounts "absent" not found' in refused(
            job, "--service-account", "absent", code=ExitCode.NOT_FOUND
        )

    def test_a_name_that_is_none_is_refused(self, job: Command, guarded: Server, place: Place) -> None:
        at(job, guarded, place=place)

        assert "service_account" in refused(job, "--service-account", "../x", code=ExitCode.USAGE)

    def test_a_server_that_knows_none_says_so(self, job: Command, server: Server, place: Place) -> None:
        at(job, server, place=place)

        said = refused(job, "--service-account", "submitter", code=ExitCode.USAGE)

        assert "auth.mode is 'none'" in said

    def test_a_token_is_made_anew_before_it_ends_and_after_a_refusal(self, place: Place) -> None:
        now = [0.0]

        def connect() -> AbstractContextManager[KubeApi]:
            return kube_api(kubeconfig=str(place.town.kube.kubeconfig), context=None, master=None)

        account = AccountToken(connect, namespace=place.name, name="submitter", audience="x", clock=lambda: now[0])

        first = account.current()
        now[0] = 2_800
        assert account.current() == first
        now[0] = 2_900
        second = account.current()
        assert second != first
        assert account.after_refusal(first) == second
        third = account.after_refusal(second)
        assert third != second
        assert account.current() == third


class TestToken:
    def test_the_token_of_a_kubeconfig_is_taken_where_the_server_takes_it(
        self, job: Command, trusted: Trusted, place: Place
    ) -> None:
        at(job, trusted, place=place, user={"token": place.api_token("submitter")})

        assert job.json(*STAGE)["bytes_staged"] > 0

    @pytest.mark.parametrize("version", ["v1beta1", "v1"])
    def test_a_login_program_is_run_with_its_environment(
        self, version: str, job: Command, trusted: Trusted, place: Place
    ) -> None:
        program = place.login_program(place.api_token("submitter"), version=version)
        at(job, trusted, place=place, user={"exec": program})

        assert job.inside(*STAGE).returncode == 0
        assert (place.folder / "runs").read_text() == "run\n"

    def test_a_login_that_has_expired_is_renewed_by_its_program(
        self, job: Command, trusted: Trusted, place: Place
    ) -> None:
        token = place.api_token("submitter")
        program = place.login_program(token, version="v1", until="2020-01-01T00:00:00Z")
        at(job, trusted, place=place, user={"exec": program})

        assert job.inside(*STAGE).returncode == 0
        assert (place.folder / "runs").read_text().count("run") > 1

    def test_a_login_program_that_fails_is_told_in_its_own_words(
        self, job: Command, trusted: Trusted, place: Place
    ) -> None:
        program = place.login_program("x", version="v1")
        Path(program["command"]).write_text("#!/bin/sh\necho 'log in with a browser first' >&2\nexit 1\n")
        at(job, trusted, place=place, user={"exec": program})

        assert "log in with a browser first" in refused(job, code=ExitCode.USAGE)

    def test_a_login_program_that_is_not_there_is_named(self, job: Command, trusted: Trusted, place: Place) -> None:
        program = place.login_program("x", version="v1") | {"command": "absent-program"}
        at(job, trusted, place=place, user={"exec": program})

        done = job.run(*STAGE)

        assert done.returncode == ExitCode.USAGE
        assert len(done.stderr.splitlines()) == 1
        assert "absent-program" in done.stderr

    def test_a_token_that_nobody_knows_is_refused_and_not_shown(
        self, job: Command, trusted: Trusted, place: Place
    ) -> None:
        at(job, trusted, place=place, user={"token": SECRETIVE})

        assert SECRETIVE not in refused(job)
        said = refused(job, "--service-account", "submitter")
        assert "log in again" in said
        assert SECRETIVE not in said

    def test_a_token_without_rights_is_told_which_one_it_needs(
        self, job: Command, trusted: Trusted, place: Place
    ) -> None:
        at(job, trusted, place=place, user={"token": place.api_token("nobody")})

        assert "this needs the right to create" in refused(job)

    def test_it_is_not_sent_to_a_server_that_does_not_take_it(
        self, job: Command, guarded: Server, place: Place
    ) -> None:
        at(job, guarded, place=place, user={"token": place.api_token("submitter")})

        said = refused(job)

        assert "takes no tokens that are for the API server" in said
        assert "--service-account NAME" in said

    def test_a_server_that_does_not_take_it_never_sees_it(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(place.kubeconfig({"token": SECRETIVE})))
        with FaultyServer() as server, pytest.raises(Exception, match="takes no tokens"):
            stranger_asks(server, takes=False)
        assert all("Authorization" not in headers for headers in server.headers)

    def test_it_is_not_sent_in_clear_text_even_where_other_tokens_are(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", str(place.kubeconfig({"token": SECRETIVE})))
        with FaultyServer() as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            with pytest.raises(RefusedByPolicy, match="in clear text") as failure:
                stranger_asks(proxy, takes=True, url="http://staging.example")
        assert SECRETIVE not in str(failure.value)
        assert [headers.get("Authorization") for headers in proxy.headers] == [None]

    def test_a_pod_without_a_kubeconfig_is_its_own_account(
        self, job: Command, trusted: Trusted, guarded: Server, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (place.folder / "token").write_text(place.api_token("submitter"))
        (place.folder / "ca.crt").write_bytes((place.town.kube.kubeconfig.parent / "ca.pem").read_bytes())
        monkeypatch.setattr(own_identity, "FOLDER", place.folder)
        host, _, port = place.town.kube.url.removeprefix("https://").partition(":")
        at(job, trusted, place=place)
        del job.environment["KUBECONFIG"]
        job.environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

        assert job.inside(*STAGE).returncode == 0
        job.environment["SPARK_STAGING_URL"] = guarded.url
        assert "--service-account NAME" in refused(job)


def stranger_asks(server: FaultyServer, *, takes: bool, url: str | None = None) -> None:
    """Ask a server that wants an identity of Kubernetes."""
    where = url or server.url
    info = {
        "server": "x", "api_versions": ["v1"], "auth_mode": "kubernetes", "pods": {"url": where},
        "limits": {"file_size": 1, "create_body_size": 1, "files_per_bundle": 1},
        "token_audience": "spark-staging", "api_server_tokens": takes,
    }  # fmt: skip
    for path in ("/v1/info", f"{where}/v1/info"):
        server.files[path] = json.dumps(info).encode()
    settings = Settings(url=where, allow_plain_http=True)
    http = HttpClient(http_settings(settings))
    try:
        login = Login(settings, url=where, http=http)
        assert login.current() is None
        login.after_refusal(None)
    finally:
        http.close()


class TestCertificate:
    def test_a_client_certificate_cannot_be_shown_and_the_error_says_what_to_do(
        self, job: Command, trusted: Trusted, place: Place
    ) -> None:
        at(job, trusted, place=place)

        said = refused(job)

        assert "client certificate" in said
        assert "--service-account NAME" in said
        assert job.inside(*STAGE, "--service-account", "submitter").returncode == 0


class TestWhichKubeconfig:
    def test_a_context_is_chosen_by_its_name(self, job: Command, trusted: Trusted, place: Place) -> None:
        path = place.kubeconfig({"token": place.api_token("submitter")})
        text = path.read_text().replace("current-context: here", "current-context: nowhere")
        path.write_text(text)
        at(job, trusted, place=place)
        job.environment["KUBECONFIG"] = str(path)

        assert "nowhere" in refused(job, code=ExitCode.USAGE)
        assert job.inside(*STAGE, "--context", "here").returncode == 0
        assert "has no context 'wrong' (there are: here)" in refused(job, "--context", "wrong", code=ExitCode.USAGE)

    def test_without_any_the_error_says_where_it_was_looked_for(
        self, job: Command, guarded: Server, place: Place
    ) -> None:
        at(job, guarded, place=place)
        job.environment["KUBECONFIG"] = str(place.folder / "absent")

        assert f"{place.folder}/absent does not exist" in refused(job, code=ExitCode.USAGE)


class TestTokenFile:
    def test_a_token_that_was_made_for_the_server_is_taken_from_a_file(
        self, job: Command, guarded: Server, place: Place
    ) -> None:
        """As projected into the pod of a scheduler; neither kubeconfig nor Kubernetes are needed."""
        at(job, guarded, place=place)
        del job.environment["KUBECONFIG"]
        file = place.folder / "token"
        file.write_text(place.town.token(place.name, "submitter"))

        assert job.inside(*STAGE, "--token-file", str(file)).returncode == 0
        file.write_text(place.town.token(place.name, "nobody"))
        assert "this needs the right" in refused(job, "--token-file", str(file))

    def test_what_is_no_token_is_refused_before_anything_is_sent(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("a.b\nX-Evil: 1.c")
        with pytest.raises(InvalidRequest, match="not a token"):
            Settings(token_file=tmp_path / "token").bearer()


class TestCost:
    def test_a_server_that_does_not_ask_costs_no_request_more_and_no_import(self, job: Command) -> None:
        job.environment |= {"KUBECONFIG": "/nowhere", "PYTHONPATH": str(Path(__file__).parents[3])}
        code = (
            "import sys\nfrom submission.cli import cli\n"
            f"cli.main({[*STAGE, '-o', 'json']!r}, standalone_mode=False)\n"
            "assert not {'kubernetes', 'yaml', 'requests'} & set(sys.modules)\n"
        )
        for requests in (5, 1):
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=job.folder, env=job.environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["requests"] <= requests
