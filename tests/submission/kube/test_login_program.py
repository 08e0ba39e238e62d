"""Programs that log in: what they are told, what is taken from them, and what is said when they do not work."""

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import trustme

from staging_protocol.errors import InvalidRequest, Unauthenticated
from submission.kube.connect import access
from tests.submission.kube.scripted import Scripted, obj, opened, refuse, write_kubeconfig

SECRETIVE = "a-token-of-a-program"
V1 = "client.authentication.k8s.io/v1"


@pytest.fixture
def program(tmp_path: Path) -> "Program":
    return Program(tmp_path)


class Program:
    """A program that prints `says`, notes what it was told, and ends with `code`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "log-in"
        self.path.write_text(
            f"#!{sys.executable}\nimport os, pathlib, sys\nhome = pathlib.Path({str(folder)!r})\n"
            "with (home / 'told').open('a') as told:\n"
            "    print(os.environ['KUBERNETES_EXEC_INFO'], file=told)\n"
            "(home / 'environment').write_text(' '.join([os.environ.get('MORE', ''), *sys.argv[1:]]))\n"
            "print((home / 'says').read_text())\nprint((home / 'complains').read_text(), file=sys.stderr)\n"
            "sys.exit(int((home / 'code').read_text()))\n"
        )
        self.path.chmod(0o755)
        self.gives({"token": SECRETIVE})
        self.ends()

    def gives(self, status: dict[str, Any], *, version: str = V1) -> None:
        self.prints(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))

    def prints(self, text: str) -> None:
        (self.folder / "says").write_text(text)

    def ends(self, code: int = 0, complaint: str = "") -> None:
        (self.folder / "code").write_text(str(code))
        (self.folder / "complains").write_text(complaint)

    @property
    def told(self) -> list[dict[str, Any]]:
        """What it was told, each time that it ran."""
        path = self.folder / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def kubeconfig(self, url: str = "https://here.example", /, **more: Any) -> Path:
        plugin = {"apiVersion": V1, "command": str(self.path), "interactiveMode": "Never", **more}
        extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "us"}}
        return write_kubeconfig(
            self.folder / "kubeconfig", url, user={"exec": plugin}, cluster={"extensions": [extension]}
        )

    def token(self, **more: Any) -> str | None:
        return access(kubeconfig=str(self.kubeconfig(**more)), context=None).identity.current().token


class TestTold:
    def test_it_runs_with_its_arguments_and_variables(self, program: Program) -> None:
        assert program.token(args=["--for", "me"], env=[{"name": "MORE", "value": "more"}]) == SECRETIVE

        assert (program.folder / "environment").read_text() == "more --for me"
        assert program.told == [{"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}}]

    def test_it_learns_of_the_cluster_only_if_it_wants_to(self, program: Program) -> None:
        program.token(provideClusterInfo=True)

        assert program.told[0]["spec"]["cluster"] == {"server": "https://here.example", "config": {"audience": "us"}}

    def test_our_own_access_token_is_not_passed_on(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPARK_STAGING_TOKEN", "x")
        program.path.write_text("#!/bin/sh\necho ${SPARK_STAGING_TOKEN-none} >&2; exit 1\n")

        with pytest.raises(InvalidRequest, match="does not work: none"):
            program.token()

    def test_a_path_is_relative_to_the_kubeconfig(self, program: Program) -> None:
        assert program.token(command="./log-in") == SECRETIVE

    def test_one_that_must_ask_somebody_is_not_run_without_a_terminal(self, program: Program) -> None:
        with pytest.raises(InvalidRequest, match="wants to ask somebody, and there is no terminal"):
            program.token(interactiveMode="Always")

        assert program.told == []


class TestTaken:
    @pytest.mark.parametrize(("expires", "runs"), [(None, 1), ("2099-01-01T00:00:00Z", 1), ("2020-01-01T00:00:00Z", 3)])
    def test_it_runs_again_only_when_what_it_gave_has_expired(
        self, expires: str | None, runs: int, program: Program
    ) -> None:
        program.gives({"token": SECRETIVE, "expirationTimestamp": expires})
        identity = access(kubeconfig=str(program.kubeconfig()), context=None).identity

        for _ in range(3):
            assert identity.current().token == SECRETIVE

        assert len(program.told) == runs

    def test_it_runs_again_when_the_api_server_refuses_what_it_gave(self, program: Program, server: Scripted) -> None:
        program.gives({"token": "first"})
        server.will(obj({}))

        with opened(program.kubeconfig(server.url)) as api:
            api.version()
            program.gives({"token": "second"})
            server.will(refuse(401), obj({}))
            api.version()

        assert [one.headers["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]

    def test_threads_that_are_refused_together_log_in_once(self, program: Program) -> None:
        identity = access(kubeconfig=str(program.kubeconfig()), context=None).identity
        refused = identity.current()
        program.gives({"token": "second"})

        found = [identity.after_refusal(refused) for _ in range(2)]

        assert [one and one.token for one in found] == ["second", "second"]
        assert len(program.told) == 2

    def test_the_same_again_is_not_sent_again(self, program: Program, server: Scripted) -> None:
        server.will(refuse(401))

        with opened(program.kubeconfig(server.url)) as api, pytest.raises(Unauthenticated, match="log in again"):
            api.version()

        assert len(server.asked) == 1
        assert len(program.told) == 2

    def test_a_certificate_is_taken_too(self, program: Program) -> None:
        issued = trustme.CA().issue_cert("me.example")
        certificate, key = issued.cert_chain_pems[0].bytes().decode(), issued.private_key_pem.bytes().decode()
        program.gives({"clientCertificateData": certificate, "clientKeyData": key})

        found = access(kubeconfig=str(program.kubeconfig()), context=None).identity.current()

        assert found.certificate == f"{certificate}\n{key}".encode()
        assert (found.token, found.authorization) == (None, None)

    def test_the_older_version_is_spoken_too(self, program: Program) -> None:
        beta = "client.authentication.k8s.io/v1beta1"
        program.gives({"token": SECRETIVE}, version=beta)

        assert program.token(apiVersion=beta) == SECRETIVE
        assert program.told[0]["apiVersion"] == beta

    def test_a_token_in_the_kubeconfig_makes_it_unnecessary(self, program: Program) -> None:
        user = {"token": "fixed", "exec": {"apiVersion": V1, "command": str(program.path)}}
        path = write_kubeconfig(program.folder / "both", "https://here.example", user=user)

        assert access(kubeconfig=str(path), context=None).identity.current().token == "fixed"
        assert program.told == []


class TestBroken:
    @pytest.mark.parametrize(
        ("printed", "why"),
        [
            ("", "is no ExecCredential"),
            (SECRETIVE, "is no ExecCredential"),
            (json.dumps({"apiVersion": V1, "status": {"token": [SECRETIVE]}}), "is no ExecCredential"),
            (json.dumps({"apiVersion": V1, "status": {}}), "neither a token nor a certificate"),
            (json.dumps({"apiVersion": V1, "status": {"clientKeyData": SECRETIVE}}), "a key without a certificate"),
            (json.dumps({"apiVersion": f"{V1}beta1", "status": {"token": SECRETIVE}}), "in another version than"),
        ],
    )
    def test_what_it_prints_wrongly_is_named_and_never_shown(self, printed: str, why: str, program: Program) -> None:
        program.prints(printed)

        with pytest.raises(InvalidRequest, match=why) as failure:
            program.token()

        assert str(program.path) in failure.value.detail
        assert SECRETIVE not in "".join(traceback.format_exception(failure.value))

    def test_its_own_words_are_told_in_one_line(self, program: Program) -> None:
        program.ends(1, "log in\nwith a browser\x1b[0m")

        with pytest.raises(InvalidRequest, match=r"does not work: log in; with a browser\\x1b\[0m$"):
            program.token()

    def test_without_words_its_code_is_told(self, program: Program) -> None:
        program.ends(3)

        with pytest.raises(InvalidRequest, match="it ended with code 3"):
            program.token()

    def test_one_that_is_not_installed_comes_with_the_hint_how_to(self, program: Program) -> None:
        with pytest.raises(InvalidRequest, match=r"absent-program .*: No such file or directory\. Install it thus"):
            program.token(command="absent-program", installHint="Install\n it thus")

    def test_one_that_never_ends_is_ended(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("submission.kube.login_program._PATIENCE", 0.3)
        program.path.write_text("#!/bin/sh\nexec sleep 600\n")

        with pytest.raises(InvalidRequest, match="it did not end within"):
            program.token()

    @pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1alpha1", ""])
    def test_a_version_that_ended_is_named(self, version: str, program: Program) -> None:
        with pytest.raises(InvalidRequest, match="which kubectl does not either"):
            program.token(apiVersion=version)
