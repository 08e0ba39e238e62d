"""Which authorities are trusted: those of the system, and besides them the ones that somebody names."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import PeerNotTrusted
from tests.resolver.faulty_server import FaultyServer
from tests.services.tls_front import tls_front


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A server of the system's authority, and one of an authority whose file is `named.pem`."""
    with ExitStack() as stack:
        web = stack.enter_context(FaultyServer())
        web.put("a.jar", b"content")
        urls = {}
        for name in ("system", "named"):
            authority = trustme.CA()
            authority.cert_pem.write_to_path(tmp_path / f"{name}.pem")
            port = stack.enter_context(tls_front(int(web.url.rpartition(":")[2]), authority=authority))
            urls[name] = f"https://127.0.0.1:{port}/a.jar"
        # Where OpenSSL looks for the system's.
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nothing"))
        yield urls


def ask(url: str, *, ca_file: Path | None) -> bytes:
    client = HttpClient(HttpSettings(connect_timeout=5, stall_timeout=5, ca_file=str(ca_file) if ca_file else None))
    try:
        with client.open("GET", url) as answer:
            return answer.read()
    finally:
        client.close()


def test_a_named_authority_is_trusted_besides_those_of_the_system(two: dict[str, str], tmp_path: Path) -> None:
    assert ask(two["named"], ca_file=tmp_path / "named.pem") == b"content"
    assert ask(two["system"], ca_file=tmp_path / "named.pem") == b"content"


def test_without_a_named_authority_those_of_the_system_count_alone(two: dict[str, str]) -> None:
    assert ask(two["system"], ca_file=None) == b"content"
    with pytest.raises(PeerNotTrusted):
        ask(two["named"], ca_file=None)
