"""Which requests go through a proxy, and what it may answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from staging_io.http import HttpClient, HttpSettings
from staging_io.proxies import Proxies
from staging_protocol.errors import Denied, InvalidRequest, PeerNotTrusted, SourceUnavailable, StagingError
from tests.resolver.faulty_server import FaultyServer
from tests.services.connect_proxy import connect_proxy
from tests.services.tls_front import tls_front

PROXY = "http://proxy.example:3128"


def is_direct(no_proxy: str, url: str, **proxies: str) -> bool:
    entries = tuple(entry for entry in no_proxy.split(",") if entry)
    found = Proxies(HttpSettings(proxies=proxies or {"http": PROXY, "https": PROXY}, no_proxy=entries))
    answers = {found.of(urlsplit(url)) for _ in range(2)}
    assert answers <= {None, PROXY}
    assert len(answers) == 1
    return answers == {None}


@pytest.mark.parametrize(("no_proxy", "url", "direct"), [
    ("", "https://a.example/x", False), ("*", "https://a.example/x", True), ("b, *", "https://a.example/x", True),
    ("a.example", "https://a.example/x", True), ("a.example", "https://b.a.example/x", True),
    ("a.example", "https://aa.example/x", False), (".a.example", "https://b.a.example/x", True),
    (".a.example", "https://a.example/x", True), ("*.a.example", "https://b.a.example:8443/x", True),
    ("A.Example", "https://a.EXAMPLE/x", True), ("a.example", "https://a.example./x", True),
    ("a.example.", "https://a.example/x", True),
    ("a.example:8443", "https://a.example:8443/x", True), ("a.example:8443", "https://a.example/x", False),
    ("a.example:443", "https://a.example/x", True), ("a.example:80", "http://b.a.example/x", True),
    ("10.0.0.0/8", "http://10.1.2.3/x", True), ("10.0.0.0/8", "http://11.1.2.3/x", False),
    ("10.0.0.0/8", "http://ten.example/x", False), ("10.1.2.3", "http://10.1.2.3:8080/x", True),
    ("10.1.2.3/8", "http://10.9.9.9/x", True), ("fd00::/8", "http://[fd00::1]/x", True),
    ("fd00::1", "http://[fd00::1]/x", True), ("[fd00::1]:80", "http://[fd00::1]/x", True),
    ("[fd00::1]:81", "http://[fd00::1]/x", False), ("not/a/network", "http://a.example/x", False),
    ("10.0.0.0/99", "http://10.0.0.1/x", False), (" ", "http://a.example/x", False),
    ("", "http://localhost:1/x", True), ("", "http://127.0.0.1/x", True), ("", "http://[::1]/x", True),
])  # fmt: skip
def test_no_proxy_in_every_form(no_proxy: str, url: str, direct: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_direct(no_proxy, url) == direct


def test_a_proxy_is_for_its_scheme() -> None:
    assert is_direct("", "http://a.example/x", https=PROXY)
    assert not is_direct("", "https://a.example/x", https=PROXY)


@pytest.fixture
def web() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        server.put("a.jar", b"content")
        yield server


def ask(url: str, **settings: Any) -> bytes:
    client = HttpClient(HttpSettings(connect_timeout=5, stall_timeout=5, **settings))
    try:
        with client.open("GET", url) as answer:
            return answer.read() if answer.status == 200 else str(answer.status).encode()
    finally:
        client.close()


def test_a_proxy_is_shown_the_credentials_of_its_url(web: FaultyServer) -> None:
    port = int(web.url.rpartition(":")[2])
    with connect_proxy({"a.example": port}, credentials="me:p@ss/word") as proxy:
        shown = proxy.url.replace("//", "//me:p%40ss%2Fword@")
        assert ask("http://a.example/a.jar", proxies={"http": shown}) == b"content"
        assert ask("http://a.example/a.jar", proxies={"http": proxy.url}) == b"407"


@pytest.mark.parametrize(("status", "kind", "told"), [
    (407, Denied, "the proxy wants credentials"), (403, Denied, r"refuses to connect to https://a\.example \(403\)"),
    (502, SourceUnavailable, r"cannot connect to https://a\.example \(502\)"), (503, SourceUnavailable, "503"),
])  # fmt: skip
def test_a_proxy_that_does_not_connect_says_why(status: int, kind: type[StagingError], told: str) -> None:
    with connect_proxy({}, status=status) as proxy, pytest.raises(kind, match=told) as caught:
        ask("https://a.example/a.jar?sig=c0ffee", proxies={"https": proxy.url})
    assert type(caught.value) is kind
    assert "c0ffee" not in caught.value.detail


def test_a_proxy_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(SourceUnavailable):
        ask("https://a.example/a.jar", proxies={"https": "http://127.0.0.1:9"})


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("trusted", [True, False], ids=["own authority", "unknown authority"])
def test_a_proxy_may_speak_tls_itself_under_the_same_authorities(
    web: FaultyServer, tmp_path: Path, scheme: str, *, trusted: bool
) -> None:
    authority = trustme.CA()
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(tmp_path / "ca.pem")
    plain = int(web.url.rpartition(":")[2])
    with (
        tls_front(plain, authority=authority, names=("a.example",)) as encrypted,
        connect_proxy({"a.example": plain if scheme == "http" else encrypted}, credentials="me:secret") as proxy,
        tls_front(proxy.port, authority=authority) as port,
    ):
        settings = {"proxies": {scheme: f"https://me:secret@127.0.0.1:{port}"}, "ca_file": str(tmp_path / "ca.pem")}
        if trusted:
            assert ask(f"{scheme}://a.example/a.jar", **settings) == b"content"
        else:
            with pytest.raises(PeerNotTrusted, match=f"https://127.0.0.1:{port} is not trusted") as caught:
                ask(f"{scheme}://a.example/a.jar", **settings)
            assert "secret" not in caught.value.detail
        assert bool(proxy.asked) is trusted


@pytest.mark.parametrize("proxy", ["proxy.example:3128", "socks5://proxy.example", "proxy.example"])
def test_a_proxy_that_is_no_url_is_told(proxy: str) -> None:
    with pytest.raises(InvalidRequest, match="the proxy of the settings or the environment is not a URL"):
        ask("https://a.example/a.jar", proxies={"https": proxy})


@pytest.mark.parametrize("host", ["a" * 64, "a..b", f"{'a' * 64}.example"])
def test_a_host_that_is_no_name_is_one_of_our_errors(host: str) -> None:
    with pytest.raises(StagingError):
        ask(f"http://{host}/a.jar")
