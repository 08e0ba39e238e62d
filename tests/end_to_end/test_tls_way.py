"""The whole way over TLS with an authority of one's own: stage, templates and Secret, init container, files."""

import json
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from staging_protocol import pod_contract
from tests.end_to_end.programs import run
from tests.staging_server.certificates import serial_of, trusting, write_pair
from tests.staging_server.served import Served, served, wait_until

_CONTENT = b"a library of a few bytes"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass(frozen=True)
class Way:
    """A server with TLS, its certificate's files, and a submitter's folder."""

    server: Served
    folder: Path
    authority: trustme.CA

    def certificate(self, *, host: str = "127.0.0.1", lasts: timedelta = timedelta(days=9)) -> int:
        """Replace the server's certificate; return its serial number."""
        return write_pair(
            self.folder / "cert.pem", self.folder / "key.pem", authority=self.authority, host=host, lasts=lasts
        )

    def template(self, **environment: str) -> tuple[int, str]:
        """Run `template`; return its exit code and what it said."""
        done = run(
            "spark-staging", "template", "--jars", self.folder / "library.jar", self.folder / "app.jar",
            "--into", self.folder / "pods", "--secret", self.folder / "secret.yaml", "--spark-version", "4.0",
            environment={
                "SPARK_STAGING_URL": f"https://127.0.0.1:{self.server.port}",
                "SPARK_STAGING_RETRY_SECONDS": "0", "HOME": str(self.folder), **environment,
            },
        )  # fmt: skip
        return done.returncode, done.stderr

    def pod(self, *, ca: str | None = None) -> tuple[int, str, Path]:
        """Run the init container as its template says; `ca` replaces the authority of the Secret.

        Returns:
            Its exit code, its log and the root of the pod's folders.
        """
        root = self.folder / "pod"
        shutil.rmtree(root, ignore_errors=True)
        secrets = root / pod_contract.SECRET_FOLDER.lstrip("/")
        secrets.mkdir(parents=True)
        (root / "dev").mkdir()
        data = yaml.safe_load((self.folder / "secret.yaml").read_text())["stringData"]
        for name, value in {**data, **({} if ca is None else {pod_contract.CA_KEY: ca})}.items():
            (secrets / name).write_text(value)
        template = yaml.safe_load((self.folder / "pods" / "executor.yaml").read_text())
        container: dict[str, Any] = template["spec"]["initContainers"][0]
        given = {item["name"]: item.get("value", "a-pod") for item in container["env"]}
        environment = {**given, "SPARK_STAGING_ROOT": str(root), "SPARK_STAGING_DEADLINE": "60"}
        done = run("spark-staging-init", environment=environment)
        return done.returncode, done.stderr, root


@pytest.fixture
def way(tmp_path: Path, authority: trustme.CA) -> Iterator[Way]:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "library.jar").write_bytes(_CONTENT)
    (tmp_path / "app.jar").write_bytes(b"an application")
    write_pair(tmp_path / "cert.pem", tmp_path / "key.pem", authority=authority)
    with served(
        tmp_path, tls=trusting(authority), TLS__RELOAD_EVERY="0.05", POD_CA_FILE=str(tmp_path / "ca.pem"),
        TLS__CERTIFICATE_FILE=str(tmp_path / "cert.pem"), TLS__KEY_FILE=str(tmp_path / "key.pem"),
    ) as server:  # fmt: skip
        yield Way(server, tmp_path, authority)


def test_an_authority_of_ones_own_reaches_the_pods_and_is_trusted_there(way: Way) -> None:
    code, said = way.template(SPARK_STAGING_CA_FILE=str(way.folder / "ca.pem"))
    assert code == 0, said
    code, log, root = way.pod()
    assert code == 0, log
    assert (root / "var/spark-data/spark-jars/library.jar").read_bytes() == _CONTENT
    secret = yaml.safe_load((way.folder / "secret.yaml").read_text())
    assert secret["stringData"][pod_contract.CA_KEY] == (way.folder / "ca.pem").read_text()
    info = way.server.call("GET", "/v1/info").json
    assert info["pods"]["ca"] == (way.folder / "ca.pem").read_text()
    assert info["pods"]["url"] == f"https://127.0.0.1:{way.server.port}"


def test_a_submitter_that_does_not_know_the_authority_is_told_so_at_once(way: Way) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(way.folder / "other.pem")
    for environment in ({}, {"SPARK_STAGING_CA_FILE": str(way.folder / "other.pem")}):
        # With a minute to retry: waiting would not help.
        code, said = way.template(**environment, SPARK_STAGING_RETRY_SECONDS="60")
        assert (code, "is not trusted" in said, "SPARK_STAGING_CA_FILE" in said) == (44, True, True), said
        assert "Traceback" not in said


def test_a_file_of_authorities_that_is_none_is_named(way: Way) -> None:
    (way.folder / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        code, said = way.template(SPARK_STAGING_CA_FILE=str(way.folder / name))
        assert (code, name in said) == (2, True), said


@pytest.mark.parametrize("wrong", ["authority", "expired", "host"])
def test_a_pod_that_cannot_trust_the_server_ends_at_once_with_a_reason(way: Way, wrong: str) -> None:
    assert way.template(SPARK_STAGING_CA_FILE=str(way.folder / "ca.pem"))[0] == 0
    ca, reason = None, "unable to get local issuer"
    match wrong:
        case "authority":
            ca = trustme.CA().cert_pem.bytes().decode()
        case "expired":
            _replace(way, lasts=timedelta(days=-1))
            reason = "certificate has expired"
        case _:
            _replace(way, host="staging.example")
            reason = "IP address mismatch"
    code, log, root = way.pod(ca=ca)
    assert (code, reason in log) == (44, True), log
    message = json.loads((root / pod_contract.TERMINATION_MESSAGE.lstrip("/")).read_text())
    assert (message["exit_code"], message["code"]) == (44, "peer-not-trusted")
    assert reason in message["detail"]
    assert list((root / "var/spark-data").rglob("*.jar")) == []


def _replace(way: Way, *, host: str = "127.0.0.1", lasts: timedelta = timedelta(days=9)) -> None:
    """Give the server a certificate that clients refuse, and wait until it shows it."""
    serial = way.certificate(host=host, lasts=lasts)

    def is_shown() -> bool:
        pem = ssl.get_server_certificate(("127.0.0.1", way.server.port))
        (way.folder / "shown.pem").write_text(pem)
        return serial_of(way.folder / "shown.pem") == serial

    wait_until(is_shown)
