"""The way out that settings describe."""

from pathlib import Path

import msgspec
import pytest

from resolver.sources.outside import open_outside
from staging_io.exchange import ClientPair
from staging_io.http import HttpSettings
from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import ConnectionSettings, SourceSettings

BASE = HttpSettings(
    connect_timeout=1, stall_timeout=2, ca_file="/base.pem", proxies={"https": "http://base:1"}, no_proxy=("base",)
)


def test_what_the_settings_leave_out_comes_from_the_program(tmp_path: Path) -> None:
    found = open_outside(SourceSettings(), secrets=tmp_path, base=BASE).connection
    assert (found.ca_file, found.proxies, found.no_proxy) == ("/base.pem", {"https": "http://base:1"}, ("base",))
    assert (found.connect_timeout, found.stall_timeout) == (10, 60), "time-outs have defaults of their own"


def test_what_the_settings_say_counts(tmp_path: Path) -> None:
    settings = SourceSettings(
        connection=ConnectionSettings(
            ca_file="web/ca.crt", connect_timeout=3, stall_timeout=4, proxies={"http": "http://p:1"}, no_proxy=()
        )
    )
    found = open_outside(settings, secrets=tmp_path, base=BASE).connection
    assert (found.ca_file, found.proxies, found.no_proxy) == (f"{tmp_path}/web/ca.crt", {"http": "http://p:1"}, ())
    assert (found.connect_timeout, found.stall_timeout) == (3, 4)


def test_rules_are_for_the_way_out_and_not_for_what_asks_for_credentials(tmp_path: Path) -> None:
    outside = open_outside(SourceSettings(), secrets=tmp_path, base=BASE, environment={"A": "b"})
    assert outside.connection.admission is None
    assert outside.policy is not None
    assert outside.environment == {"A": "b"}


def test_certificates_belong_to_their_host(tmp_path: Path) -> None:
    hosts = {
        "h": {"client_certificate": "s/crt", "client_key": "/abs/key"},
        "i:8443": {"client_certificate": "s/both"},
        "j": {},
    }
    settings = {"http": {"hosts": hosts}}
    found = open_outside(msgspec.convert(settings, SourceSettings), secrets=tmp_path, base=BASE).connection.client_pairs
    assert found == {
        "h:443": ClientPair(certificate=f"{tmp_path}/s/crt", key="/abs/key"),
        "i:8443": ClientPair(certificate=f"{tmp_path}/s/both"),
    }


def test_a_secret_is_what_its_file_holds_now(tmp_path: Path) -> None:
    outside = open_outside(SourceSettings(), secrets=tmp_path, base=BASE)
    (tmp_path / "web").mkdir()
    for text in ("first\n", "  second"):
        (tmp_path / "web" / "token").write_text(text)
        assert outside.secret("web/token") == text.strip()


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_secret_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(InvalidRequest, match=f"{tmp_path}/token"):
        open_outside(SourceSettings(), secrets=tmp_path, base=BASE).secret("token")
