"""The source for web servers: the contract against a real nginx, and what is special about the web."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
import trustme

from resolver.sources.base import Source
from resolver.sources.http import HttpSource
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    Denied,
    NotFound,
    PeerNotTrusted,
    RefusedByPolicy,
    SourceUnavailable,
    StagingError,
    Unauthenticated,
)
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, SourceContract, read
from tests.resolver.conftest import Resolving, entry
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.outside import outside
from tests.services.nginx import Nginx, NginxMissing, running_nginx

Put = Callable[[str, bytes], str]

pytestmark = pytest.mark.services


@dataclass
class ServedByNginx:
    source: Source
    url: str
    write: Put

    def put(self, name: str, content: bytes) -> DependencyUri:
        return DependencyUri.parse(f"{self.url}/{quote(self.write(name, content))}")

    def missing(self) -> DependencyUri:
        return DependencyUri.parse(f"{self.url}/nothing-here.jar")

    def unreachable(self) -> tuple[Source, DependencyUri]:
        return self.source, DependencyUri.parse("http://127.0.0.1:9/a.jar")


@pytest.fixture
def served(nginx: Nginx, http: HttpClient, serve: Put) -> ServedByNginx:
    return ServedByNginx(HttpSource(outside(http)), nginx.url, serve)


class TestHttpSource(SourceContract):
    pass


@pytest.fixture
def source(http: HttpClient) -> HttpSource:
    return HttpSource(outside(http))


@pytest.mark.parametrize("place", ["norange", "notag", "moved"])
def test_every_usual_server_gives_whole_files(nginx: Nginx, serve: Put, resolving: Resolving, place: str) -> None:
    path = serve("a.bin", CONTENT)
    (resolved,) = resolving(entry(f"{nginx.url}/{place}/{path}", "a.bin", content=CONTENT))
    assert resolved.digest == Digest.of(CONTENT)


def test_user_info_is_basic_authentication(nginx: Nginx, serve: Put, source: HttpSource) -> None:
    path = serve("a.bin", CONTENT)
    url = nginx.url.replace("//", "//ali:open%20sesame@")
    assert read(source, DependencyUri.parse(f"{url}/auth/{path}")) == CONTENT


def test_missing_and_wrong_credentials_are_told_without_repeating_them(
    nginx: Nginx, serve: Put, source: HttpSource
) -> None:
    path = serve("a.bin", CONTENT)
    for user_info in ("", "ali:open%20says-me@"):
        uri = DependencyUri.parse(f"{nginx.url.replace('//', f'//{user_info}')}/auth/{path}")
        with pytest.raises(Unauthenticated) as caught:
            read(source, uri)
        assert "says-me" not in caught.value.detail


def test_user_info_does_not_travel_in_clear_text(http: HttpClient) -> None:
    uri = DependencyUri.parse("http://ali:open-sesame@repository.example/a.jar")
    with pytest.raises(RefusedByPolicy) as caught:
        read(HttpSource(outside(http)), uri)
    assert "sesame" not in caught.value.detail


def test_credentials_do_not_follow_a_redirect_to_another_host(source: HttpSource) -> None:
    with FaultyServer() as first, FaultyServer() as second:
        second.put("a.jar", CONTENT)
        first.faults["/a.jar"] = [lambda handler: handler.answer(302, b"", Location=f"{second.url}/a.jar")]
        url = first.url.replace("//", "//ali:open-sesame@")
        assert read(source, DependencyUri.parse(f"{url}/a.jar")) == CONTENT
        assert "Authorization" in first.headers[0]
        assert "Authorization" not in second.headers[0]


def test_credentials_follow_a_redirect_on_their_own_host(source: HttpSource) -> None:
    with FaultyServer() as server:
        server.put("b.jar", CONTENT)
        server.faults["/a.jar"] = [lambda handler: handler.answer(302, b"", Location="/b.jar")]
        url = server.url.replace("//", "//ali:open-sesame@")
        read(source, DependencyUri.parse(f"{url}/a.jar"))
        assert "Authorization" in server.headers[1]


def test_redirects_end_after_five(nginx: Nginx, source: HttpSource) -> None:
    with pytest.raises(NotFound, match="more than 5 times"):
        read(source, DependencyUri.parse(f"{nginx.url}/loop"))


def test_five_redirects_are_followed(source: HttpSource) -> None:
    with FaultyServer() as server:
        server.put("5.jar", CONTENT)
        for step in range(5):
            target = f"/{step + 1}.jar"
            server.faults[f"/{step}.jar"] = [lambda handler, to=target: handler.answer(302, b"", Location=to)]  # type: ignore[misc]
        assert read(source, DependencyUri.parse(f"{server.url}/0.jar")) == CONTENT


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a.jar"])
def test_a_redirect_to_another_scheme_is_refused(source: HttpSource, target: str) -> None:
    with FaultyServer() as server:
        server.faults["/a.jar"] = [lambda handler: handler.answer(302, b"", Location=target)]
        with pytest.raises(RefusedByPolicy):
            read(source, DependencyUri.parse(f"{server.url}/a.jar"))


@pytest.fixture(scope="module")
def tls_nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, str, str]]:
    """An nginx with a certificate of a private authority: (server, https URL, CA file)."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "pair.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with FaultyServer() as probe:
        port = int(probe.url.rpartition(":")[2])
    more = (
        f"server {{ listen 127.0.0.1:{port} ssl; root {folder}/www;"
        " location = /down { return 302 http://localhost/; }"
        f" ssl_certificate {folder}/pair.pem; ssl_certificate_key {folder}/pair.pem; }}"
    )
    try:
        with running_nginx(folder, more=more) as server:
            yield server, f"https://localhost:{port}", str(folder / "ca.pem")
    except NginxMissing as error:
        from tests.conftest import missing

        missing(str(error))


def test_a_private_authority_is_trusted_when_told(tls_nginx: tuple[Nginx, str, str]) -> None:
    server, url, ca_file = tls_nginx
    (server.root / "a.bin").write_bytes(CONTENT)
    client = HttpClient(HttpSettings(ca_file=ca_file))
    assert read(HttpSource(outside(client)), DependencyUri.parse(f"{url}/a.bin")) == CONTENT
    client.close()


def test_an_unknown_authority_is_not_trusted(tls_nginx: tuple[Nginx, str, str], source: HttpSource) -> None:
    with pytest.raises(PeerNotTrusted):
        read(source, DependencyUri.parse(f"{tls_nginx[1]}/a.bin"))


def test_a_redirect_from_https_to_http_is_refused(tls_nginx: tuple[Nginx, str, str]) -> None:
    client = HttpClient(HttpSettings(ca_file=tls_nginx[2]))
    with pytest.raises(RefusedByPolicy, match="from https to http"):
        read(HttpSource(outside(client)), DependencyUri.parse(f"{tls_nginx[1]}/down"))
    client.close()


@pytest.mark.parametrize(("path", "error", "wait"), [("busy", SourceUnavailable, 7.0), ("forbidden", Denied, None)])
def test_refusals_become_our_errors(
    nginx: Nginx, source: HttpSource, path: str, error: type[StagingError], wait: float | None
) -> None:
    with pytest.raises(error) as caught:
        read(source, DependencyUri.parse(f"{nginx.url}/{path}"))
    assert caught.value.retry_after == wait
