"""Credentials of web servers: every kind, good, wrong, missing and expired; authorities; with and without a proxy."""

import itertools
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trustme

from resolver.sources.http import HttpSource
from resolver.sources.outside import Outside, open_outside
from staging_io.http import HttpSettings
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    PeerNotTrusted,
    RefusedByPolicy,
    StagingError,
    Unauthenticated,
)
from staging_protocol.sources import SourceSettings
from staging_protocol.uris import DependencyUri
from tests.conftest import missing
from tests.contracts.source import CONTENT, read
from tests.resolver.faulty_server import FaultyServer
from tests.services.connect_proxy import ConnectProxy, connect_proxy
from tests.services.nginx import NginxMissing, running_nginx

pytestmark = pytest.mark.services

NAME: Final = "repo.example"
"""Known to the proxy only."""

LOCATIONS: Final = """
server {{
  listen 127.0.0.1:{port} ssl; root {folder}/www;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  location /basic/ {{ alias {folder}/www/; auth_basic x; auth_basic_user_file {folder}/htpasswd; }}
  location /bearer/ {{ if ($http_authorization != "Bearer open-sesame") {{ return 401; }} alias {folder}/www/; }}
  location /header/ {{ if ($http_x_key != "open-sesame") {{ return 403; }} alias {folder}/www/; }}
}}
server {{
  listen 127.0.0.1:{strict} ssl; root {folder}/www;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  ssl_client_certificate {folder}/ca.pem; ssl_verify_client on;
}}
"""


@dataclass(frozen=True)
class Web:
    """nginx with TLS: one server that wants credentials, and one that wants certificates; files of certificates."""

    folder: Path
    port: int
    strict: int

    def port_for(self, kind: str) -> int:
        return self.strict if kind == "certificate" else self.port


def write_certificates(folder: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    stranger.cert_pem.write_to_path(str(folder / "stranger.pem"))
    past = datetime.now(UTC) - timedelta(days=2)
    for name, pair in {
        "server": authority.issue_cert("localhost", NAME, "127.0.0.1"),
        "good": authority.issue_cert("job@example.org"),
        "wrong": stranger.issue_cert("job@example.org"),
        "expired": authority.issue_cert("job@example.org", not_before=past, not_after=past + timedelta(days=1)),
    }.items():
        pair.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
        pair.private_key_pem.write_to_path(str(folder / f"{name}.key"))


def free_port() -> int:
    with FaultyServer() as probe:
        return int(probe.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    write_certificates(folder)
    (folder / "htpasswd").write_text("ali:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=\n")  # "open sesame"
    found = Web(folder, free_port(), free_port())
    more = LOCATIONS.format(folder=folder, port=found.port, strict=found.strict)
    try:
        with running_nginx(folder, more=more) as server:
            (server.root / "a.jar").write_bytes(CONTENT)
            yield found
    except NginxMissing as error:
        missing(str(error))


@pytest.fixture(scope="module")
def proxy(web: Web) -> Iterator[ConnectProxy]:
    with connect_proxy({NAME: web.port, f"strict.{NAME}": web.strict}, credentials="me:p@ss") as running:
        yield running


SECRETS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "basic": {"good": ("ali", "open sesame"), "wrong": ("ali", "open says-me")},
    "bearer": {"good": ("open-sesame",), "wrong": ("open-says-me",)},
    "header": {"good": ("open-sesame",), "wrong": ("open-says-me",)},
}


def shown(folder: Path, web: Web, kind: str, state: str) -> dict[str, Any]:
    """Return the settings of a host with such credentials, whose files are written."""
    secret = folder / "web"
    secret.mkdir(exist_ok=True)
    if state == "missing":
        return {}
    if kind == "certificate":
        (secret / "tls.crt").write_bytes((web.folder / f"{state}.pem").read_bytes())
        (secret / "tls.key").write_bytes((web.folder / f"{state}.key").read_bytes())
        return {"client_certificate": "web/tls.crt", "client_key": "web/tls.key"}
    if kind == "basic":
        for name, text in zip(("username", "password"), SECRETS["basic"][state], strict=True):
            (secret / name).write_text(f"{text}\n")
        return {"basic": {"username": "web/username", "password": "web/password"}}
    (secret / "token").write_text(SECRETS[kind][state][0])
    return {"bearer": "web/token"} if kind == "bearer" else {"headers": {"X-Key": "web/token"}}


@contextmanager
def opened(folder: Path, hosts: dict[str, Any], *, ca: Path | None, proxy: ConnectProxy | None) -> Iterator[Outside]:
    settings: dict[str, Any] = {"egress": {"networks": {"allow": ["127.0.0.0/8"]}}, "http": {"hosts": hosts}}
    if ca is not None:
        settings["connection"] = {"ca_file": str(ca)}
    proxies = {} if proxy is None else {"https": proxy.url.replace("//", "//me:p%40ss@")}
    base = HttpSettings(connect_timeout=5, stall_timeout=5, proxies=proxies)
    outside = open_outside(msgspec.convert(settings, SourceSettings), secrets=folder, base=base)
    try:
        yield outside
    finally:
        outside.http.close()


EXPECTED: Final[dict[tuple[str, str], tuple[type[StagingError], str] | None]] = {
    ("basic", "good"): None, ("bearer", "good"): None, ("header", "good"): None, ("certificate", "good"): None,
    ("basic", "wrong"): (Unauthenticated, "the user 'ali' (web/username)"),
    ("basic", "missing"): (Unauthenticated, "nobody"),
    ("bearer", "wrong"): (Unauthenticated, "(web/token)"), ("bearer", "missing"): (Unauthenticated, "nobody"),
    ("header", "wrong"): (Denied, "whom X-Key names (web/token)"), ("header", "missing"): (Denied, "nobody"),
    # nginx takes any certificate in the handshake, and says 400 afterwards.
    ("certificate", "wrong"): (InvalidRequest, "the owner of a client certificate (web/tls.crt)"),
    ("certificate", "expired"): (InvalidRequest, "the owner of a client certificate"),
    ("certificate", "missing"): (InvalidRequest, "400 (asked as nobody)"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "state", "ca", "way"),
    [
        (*key, *more)
        for key, more in itertools.product(EXPECTED, itertools.product(["ca", "none"], ["direct", "proxy"]))
    ],
)
def test_every_kind_of_credentials_in_every_state(  # noqa: PLR0917 - the columns of the matrix
    web: Web, proxy: ConnectProxy, tmp_path: Path, kind: str, state: str, ca: str, way: str
) -> None:
    host = "localhost" if way == "direct" else NAME
    port = web.port_for(kind)
    hosts = {f"{host}:{port}": shown(tmp_path, web, kind, state)}
    uri = DependencyUri.parse(f"https://{host}:{port}/{'' if kind == 'certificate' else kind + '/'}a.jar")
    authority = web.folder / "ca.pem" if ca == "ca" else None
    expected = EXPECTED[kind, state] if ca == "ca" else (PeerNotTrusted, "connection.ca_file")
    proxy._names = {NAME: port}  # the proxy is told where the name leads
    with opened(tmp_path, hosts, ca=authority, proxy=proxy if way == "proxy" else None) as outside:
        source = HttpSource(outside)
        if expected is None:
            assert read(source, uri) == CONTENT
            assert source.stat(uri).size == len(CONTENT)
        else:
            for ask in (source.stat, lambda one: read(source, one)):
                with pytest.raises(expected[0]) as caught:
                    ask(uri)
                assert expected[1] in caught.value.detail
                assert "says-me" not in caught.value.detail
    if way == "proxy":
        assert ("CONNECT", f"{NAME}:{port}") in proxy.asked


@pytest.mark.parametrize(("kind", "field"), [
    ("basic", {"basic": {"username": "web/nobody", "password": "web/nothing"}}), ("bearer", {"bearer": "web/nothing"}),
    ("header", {"headers": {"X-Key": "web/nothing"}}), ("certificate", {"client_certificate": "web/nothing"}),
])  # fmt: skip
def test_a_file_that_is_not_there_is_named(web: Web, tmp_path: Path, kind: str, field: dict[str, Any]) -> None:
    port = web.port_for(kind)
    with (
        opened(tmp_path, {f"localhost:{port}": field}, ca=web.folder / "ca.pem", proxy=None) as outside,
        pytest.raises(InvalidRequest, match=str(tmp_path / "web" / "no")),
    ):
        HttpSource(outside).stat(DependencyUri.parse(f"https://localhost:{port}/{kind}/a.jar"))


@pytest.mark.parametrize("wrong", ["empty", "text", "another key", "encrypted"])
def test_a_certificate_that_cannot_be_used_is_named(web: Web, tmp_path: Path, wrong: str) -> None:
    field = shown(tmp_path, web, "certificate", "good")
    key = tmp_path / "web" / "tls.key"
    match wrong:
        case "empty":
            key.write_text("")
        case "text":
            key.write_text("no key")
        case "another key":
            key.write_bytes((web.folder / "wrong.key").read_bytes())
        case _:
            key.write_bytes(encrypted((web.folder / "good.key").read_bytes()))
    with (
        opened(tmp_path, {f"localhost:{web.strict}": field}, ca=web.folder / "ca.pem", proxy=None) as outside,
        pytest.raises(InvalidRequest, match=r"tls\.crt with the key .*tls\.key cannot be used"),
    ):
        HttpSource(outside).stat(DependencyUri.parse(f"https://localhost:{web.strict}/a.jar"))


def encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return serialization.load_pem_private_key(key, password=None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )


def test_an_unusable_authority_file_is_named(web: Web, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with (
        opened(tmp_path, {}, ca=tmp_path / "ca.pem", proxy=None) as outside,
        pytest.raises(InvalidRequest, match=r"ca\.pem is not a readable PEM file"),
    ):
        HttpSource(outside).stat(DependencyUri.parse(f"https://localhost:{web.port}/a.jar"))


@pytest.mark.parametrize("kind", ["bearer", "certificate"])
def test_files_are_read_again_when_they_change(web: Web, tmp_path: Path, kind: str) -> None:
    port = web.port_for(kind)
    field = shown(tmp_path, web, kind, "wrong")
    uri = DependencyUri.parse(f"https://localhost:{port}/{kind if kind == 'bearer' else '.'}/a.jar")
    with opened(tmp_path, {f"localhost:{port}": field}, ca=web.folder / "ca.pem", proxy=None) as outside:
        source = HttpSource(outside)
        with pytest.raises((Unauthenticated, InvalidRequest)):
            read(source, uri)
        shown(tmp_path, web, kind, "good")
        for path in (tmp_path / "web").iterdir():  # a file system's clock may tick slowly
            os.utime(path, (1_800_000_000, 1_800_000_000))
        assert read(source, uri) == CONTENT


@contextmanager
def tls_server(web: Web) -> Iterator[int]:
    """Run a server that ends the handshake of whoever shows no good certificate, by an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(web.folder / "server.pem")
    context.load_verify_locations(web.folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with FaultyServer() as server:
        server.put("a.jar", CONTENT)
        inner = server._server
        inner.socket = context.wrap_socket(inner.socket, server_side=True, do_handshake_on_connect=False)
        inner.handle_error = lambda *_: None  # type: ignore[method-assign]
        yield int(server.url.rpartition(":")[2])


@pytest.mark.parametrize("state", ["good", "wrong", "expired", "missing"])
def test_a_server_that_refuses_in_the_handshake_is_understood(web: Web, tmp_path: Path, state: str) -> None:
    with tls_server(web) as port:
        field = shown(tmp_path, web, "certificate", state)
        uri = DependencyUri.parse(f"https://localhost:{port}/a.jar")
        with opened(tmp_path, {f"localhost:{port}": field}, ca=web.folder / "ca.pem", proxy=None) as outside:
            if state == "good":
                assert read(HttpSource(outside), uri) == CONTENT
            else:
                with pytest.raises(Unauthenticated, match="refuses our certificate, or that we have none"):
                    read(HttpSource(outside), uri)


# --- where they go


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., bytes]:
    def call(uri: str, hosts: dict[str, Any], **settings: Any) -> bytes:
        rules = {"egress": {"networks": {"allow": ["127.0.0.0/8"]}}, "http": {"hosts": hosts}, **settings}
        outside = open_outside(msgspec.convert(rules, SourceSettings), secrets=tmp_path, base=HttpSettings())
        try:
            return read(HttpSource(outside), DependencyUri.parse(uri))
        finally:
            outside.http.close()

    return call


def test_credentials_do_not_travel_in_clear_text_to_other_machines(
    tmp_path: Path, faulty: FaultyServer, asked: Callable[..., bytes]
) -> None:
    (tmp_path / "token").write_text("sesame")
    faulty.put("a.jar", CONTENT)
    port = faulty.url.rpartition(":")[2]
    hosts = {f"127.0.0.2:{port}": {"bearer": "token"}, f"localhost:{port}": {"bearer": "token"}}
    with pytest.raises(RefusedByPolicy, match="in clear text") as caught:
        asked(f"http://127.0.0.2:{port}/a.jar", hosts)
    assert "sesame" not in caught.value.detail
    assert faulty.requests == []
    assert asked(f"http://localhost:{port}/a.jar", hosts) == CONTENT, "nobody else reads along on this machine"


def test_in_a_trusted_network_they_may_travel_in_clear_text(
    tmp_path: Path, faulty: FaultyServer, asked: Callable[..., bytes]
) -> None:
    (tmp_path / "token").write_text("sesame")
    faulty.put("a.jar", CONTENT)
    host = faulty.url.removeprefix("http://")
    assert asked(f"http://{host}/a.jar", {host: {"bearer": "token"}}, allow_plain_http=True) == CONTENT
    assert faulty.headers[0]["Authorization"] == "Bearer sesame"


def test_another_port_is_another_host(tmp_path: Path, faulty: FaultyServer, asked: Callable[..., bytes]) -> None:
    (tmp_path / "token").write_text("sesame")
    faulty.put("a.jar", CONTENT)
    for other in ("127.0.0.1", "127.0.0.1:443", "127.0.0.1:1", "localhost"):
        assert asked(f"{faulty.url}/a.jar", {other: {"bearer": "token"}}) == CONTENT
    assert not any("Authorization" in sent for sent in faulty.headers)


def test_user_info_of_the_uri_counts_more_than_the_settings(
    tmp_path: Path, faulty: FaultyServer, asked: Callable[..., bytes]
) -> None:
    (tmp_path / "token").write_text("sesame")
    faulty.put("a.jar", CONTENT)
    host = faulty.url.removeprefix("http://").upper()
    asked(f"{faulty.url.replace('//', '//ali:pw@')}/a.jar", {host: {"bearer": "token", "headers": {"X-Key": "token"}}})
    assert faulty.headers[0]["Authorization"] == "Basic YWxpOnB3"
    assert faulty.headers[0]["X-Key"] == "sesame"


@pytest.mark.parametrize("name", [
    "https://h", "h/path", "me@h", "h:port", "h:0", "h:99999", "", "h h", "[::1", "h?x",
])  # fmt: skip
def test_what_is_no_host_is_refused(name: str, asked: Callable[..., bytes]) -> None:
    with pytest.raises(InvalidRequest, match=r"http\.hosts of sources\.json is no host"):
        asked("http://127.0.0.1/a.jar", {name: {"bearer": "token"}})


@pytest.mark.parametrize("host", [
    {"headers": {"Host": "x"}}, {"headers": {"range": "x"}}, {"headers": {"X: y": "x"}}, {"headers": {"": "x"}},
    {"bearer": "x", "basic": {"username": "x", "password": "x"}},
])  # fmt: skip
def test_fields_that_cannot_be_credentials_are_refused(host: dict[str, Any], asked: Callable[..., bytes]) -> None:
    with pytest.raises(InvalidRequest, match=r"http\.hosts"):
        asked("http://127.0.0.1/a.jar", {"h": host})


@pytest.mark.parametrize(("uri", "told"), [
    ("https://h/a", "the user 'ali' (s/u), whom X-Key names (s/p)"), ("https://h:8443/a", "nobody"),
    ("https://other/a", "nobody"), ("https://me:pw@other/a", "the user info of the URI"),
    ("https://t/a", "the bearer of a token (s/p)"), ("https://c/a", "the owner of a client certificate (s/c)"),
])  # fmt: skip
def test_identity_says_as_whom_and_from_where(tmp_path: Path, uri: str, told: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "u").write_text("ali")
    (tmp_path / "s" / "p").write_text("sesame")
    hosts = {
        "h": {"basic": {"username": "s/u", "password": "s/p"}, "headers": {"X-Key": "s/p"}},
        "t": {"bearer": "s/p"}, "c": {"client_certificate": "s/c"},
    }  # fmt: skip
    with opened(tmp_path, hosts, ca=None, proxy=None) as outside:
        assert HttpSource(outside).identity(DependencyUri.parse(uri)) == told
