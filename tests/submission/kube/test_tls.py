"""Trust, certificates and proxies, with a server that wants them."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from staging_protocol.errors import Denied, PeerNotTrusted, Unauthenticated, Unavailable
from tests.services.connect_proxy import connect_proxy
from tests.submission.kube.scripted import Scripted, obj, opened, refuse, scripted, stream, write_kubeconfig

AUTHORITY = trustme.CA()
VERSION = obj({"gitVersion": "v1.31.0"})


def served(*, wants_certificate: bool = False) -> ssl.SSLContext:
    """Return the context of a server of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1", "cluster.example").configure_cert(context)
    if wants_certificate:
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(tls=served()) as found:
        found.will(VERSION)
        yield found


@pytest.fixture
def strict() -> Iterator[Scripted]:
    """Talks only to those who show a certificate."""
    with scripted(tls=served(wants_certificate=True)) as found:
        found.will(VERSION)
        yield found


def trusting(authority: trustme.CA = AUTHORITY) -> dict[str, str]:
    return {"certificate-authority-data": base64.b64encode(authority.cert_pem.bytes()).decode()}


def pair(name: str) -> tuple[str, str]:
    issued = AUTHORITY.issue_cert(name)
    return issued.cert_chain_pems[0].bytes().decode(), issued.private_key_pem.bytes().decode()


class TestTrust:
    def test_the_authority_of_the_kubeconfig_is_trusted(self, server: Scripted, tmp_path: Path) -> None:
        with opened(write_kubeconfig(tmp_path / "kubeconfig", server.url, cluster=trusting())) as api:
            assert api.version() == "v1.31.0"

    @pytest.mark.parametrize("cluster", [{}, trusting(trustme.CA())])
    def test_nobody_else_is_and_no_token_is_sent(
        self, cluster: dict[str, str], server: Scripted, tmp_path: Path
    ) -> None:
        path = write_kubeconfig(tmp_path / "kubeconfig", server.url, user={"token": "x"}, cluster=cluster)

        with opened(path) as api, pytest.raises(PeerNotTrusted, match="no secure connection") as failure:
            api.version()

        assert "belong to the address of the kubeconfig?" in failure.value.detail
        assert not failure.value.retryable
        assert server.asked == []

    def test_a_name_that_the_certificate_does_not_have_is_refused(self, server: Scripted, tmp_path: Path) -> None:
        cluster = {**trusting(), "tls-server-name": "other.example"}

        with (
            opened(write_kubeconfig(tmp_path / "kubeconfig", server.url, cluster=cluster)) as api,
            pytest.raises(PeerNotTrusted, match=r"other\.example"),
        ):
            api.version()

    def test_whoever_wants_to_may_trust_anybody(self, server: Scripted, tmp_path: Path) -> None:
        cluster = {"insecure-skip-tls-verify": True}

        with opened(write_kubeconfig(tmp_path / "kubeconfig", server.url, cluster=cluster)) as api:
            assert api.version() == "v1.31.0"

    def test_what_speaks_no_tls_is_told(self, tmp_path: Path) -> None:
        with scripted() as plain:
            url = plain.url.replace("http:", "https:")
            with (
                opened(write_kubeconfig(tmp_path / "kubeconfig", url), retry_seconds=0) as api,
                pytest.raises(Unavailable, match="cannot be asked to tell its version"),
            ):
                api.version()


class TestCertificates:
    def test_one_of_the_kubeconfig_is_shown(self, strict: Scripted, tmp_path: Path) -> None:
        certificate, key = pair("me.example")
        (tmp_path / "me.pem").write_text(certificate)
        (tmp_path / "me.key").write_text(key)
        user = {"client-certificate": "me.pem", "client-key": "me.key"}

        with opened(write_kubeconfig(tmp_path / "kubeconfig", strict.url, user=user, cluster=trusting())) as api:
            assert api.version() == "v1.31.0"

    def test_without_one_the_person_has_to_log_in(self, strict: Scripted, tmp_path: Path) -> None:
        with (
            opened(write_kubeconfig(tmp_path / "kubeconfig", strict.url, cluster=trusting())) as api,
            pytest.raises(Unauthenticated, match="refuses the client certificate of the kubeconfig; log in again"),
        ):
            api.version()

    def test_one_of_a_login_program_is_shown_and_replaced_after_a_refusal(
        self, strict: Scripted, tmp_path: Path
    ) -> None:
        def log_in(name: str) -> None:
            certificate, key = pair(name)
            status = {"clientCertificateData": certificate, "clientKeyData": key}
            version = "client.authentication.k8s.io/v1"
            (tmp_path / "login.json").write_text(json.dumps({"apiVersion": version, "status": status}))

        log_in("first.example")
        plugin: dict[str, Any] = {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [str(tmp_path / "login.json")],
        }  # fmt: skip
        path = write_kubeconfig(tmp_path / "kubeconfig", strict.url, user={"exec": plugin}, cluster=trusting())
        with opened(path) as api:
            assert api.version() == "v1.31.0"
            log_in("second.example")
            strict.will(refuse(401), VERSION)
            assert api.version() == "v1.31.0"

        assert len(strict.asked) == 2


class TestStreams:
    def test_lines_are_given_as_they_come(self, server: Scripted, tmp_path: Path) -> None:
        first_was_seen = threading.Event()
        server.will(stream(b"one\n", first_was_seen, b"two\n"))

        with opened(write_kubeconfig(tmp_path / "kubeconfig", server.url, cluster=trusting())) as api:
            lines = api.log("driver", namespace="jobs", container=None, follow=True)
            assert next(lines) == b"one"
            first_was_seen.set()
            assert list(lines) == [b"two"]

    def test_lines_are_given_as_they_come_through_a_proxy(self, server: Scripted, tmp_path: Path) -> None:
        first_was_seen = threading.Event()
        server.will(stream(b"one\n", first_was_seen, b"two\n", b"thr", ends=False))
        port = urlsplit(server.url).port or 0

        with connect_proxy({"cluster.example": port}) as proxy:
            cluster = {**trusting(), "proxy-url": proxy.url}
            path = write_kubeconfig(tmp_path / "kubeconfig", f"https://cluster.example:{port}", cluster=cluster)
            with opened(path) as api:
                lines = api.log("driver", namespace="jobs", container=None, follow=True)
                assert next(lines) == b"one"
                first_was_seen.set()
                assert next(lines) == b"two"
                with pytest.raises(Unavailable, match="cannot be asked to read the log"):
                    next(lines)


class TestProxies:
    def test_the_environment_names_one_for_clusters_elsewhere(
        self, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        port = urlsplit(server.url).port or 0
        path = write_kubeconfig(tmp_path / "kubeconfig", f"https://cluster.example:{port}", cluster=trusting())
        with connect_proxy({"cluster.example": port}) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            with opened(path) as api:
                assert api.version() == "v1.31.0"

        assert proxy.asked == [("CONNECT", f"cluster.example:{port}")]

    def test_it_does_not_hear_of_clusters_on_this_machine(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with connect_proxy({}) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            for host in ("127.0.0.1", "127.0.0.2", "localhost"):
                path = write_kubeconfig(tmp_path / "kubeconfig", f"http://{host}:1")
                with opened(path, retry_seconds=0) as api, pytest.raises(Unavailable, match="Connection refused"):
                    api.version()

        assert proxy.asked == []

    def test_a_proxy_that_refuses_is_told_with_what_to_check(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_kubeconfig(tmp_path / "kubeconfig", "https://cluster.example")
        with connect_proxy({}, status=403) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            with opened(path) as api, pytest.raises(Denied, match=r"proxy refuses .*; check HTTPS_PROXY, NO_PROXY"):
                api.version()
