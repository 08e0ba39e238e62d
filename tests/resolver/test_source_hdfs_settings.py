"""What the settings of HDFS mean: nameservices, hdfs-site.xml, and files with delegation tokens."""

import json
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.sources.hdfs.nameservices import Nameservice, Nameservices
from resolver.sources.hdfs.site import properties_of, services_of
from resolver.sources.hdfs.tokens import read_token
from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import HdfsNameservice, HdfsSources
from staging_protocol.uris import DependencyUri
from tests.resolver.hdfs import way_out

HA = {
    "dfs.nameservices": "prod, test",
    "dfs.ha.namenodes.prod": "nn1,nn2",
    "dfs.namenode.rpc-address.prod.nn1": "master1:8020",
    "dfs.namenode.rpc-address.prod.nn2": "master2:8020",
    "dfs.namenode.http-address.prod.nn1": "master1:9870",
    "dfs.namenode.http-address.prod.nn2": "master2:9870",
    "dfs.namenode.https-address.prod.nn1": "master1:9871",
    "dfs.namenode.https-address.prod.nn2": "master2:9871",
    "dfs.namenode.rpc-address.test": "test:8020",
    "dfs.namenode.http-address.test": "0.0.0.0:9870",
}
TLS_ONLY = {**HA, "dfs.http.policy": "HTTPS_ONLY"}
BOTH = {**HA, "dfs.http.policy": "HTTP_AND_HTTPS"}
ALONE = {"dfs.namenode.rpc-address": "master:8020", "dfs.namenode.http-address": "master:50070"}


def xml(properties: dict[str, str]) -> str:
    lines = (
        f"<property>\n <name> {key} </name>\n <value>{value}</value>\n</property>" for key, value in properties.items()
    )
    return f"<?xml version='1.0'?>\n<?xml-stylesheet type='text/xsl'?>\n<configuration>{''.join(lines)}</configuration>"


def found(uri: str, hdfs: HdfsSources, *, folder: Path, properties: dict[str, str] | None = None) -> Nameservice:
    """Return what a URI means with these settings, and an hdfs-site.xml."""
    if properties is not None:
        (folder / "hdfs-site.xml").write_text(xml(properties))
        hdfs = HdfsSources(site="hdfs-site.xml", nameservices=hdfs.nameservices, user=hdfs.user)
    with way_out(hdfs, secrets=folder) as out:
        return Nameservices(out).of(DependencyUri.parse(uri))


# --- where an HDFS is


@pytest.mark.parametrize(
    ("uri", "properties", "urls"),
    [
        ("hdfs://prod/a", HA, ("http://master1:9870", "http://master2:9870")),
        ("hdfs://master2:8020/a", HA, ("http://master1:9870", "http://master2:9870")),
        ("hdfs://test/a", HA, ("http://test:9870",)),
        ("hdfs://prod/a", TLS_ONLY, ("https://master1:9871", "https://master2:9871")),
        ("hdfs://prod/a", BOTH, ("https://master1:9871", "https://master2:9871")),
        ("webhdfs://prod/a", BOTH, ("http://master1:9870", "http://master2:9870")),
        ("swebhdfs://prod/a", HA, ("https://master1:9871", "https://master2:9871")),
        ("hdfs://master:8020/a", ALONE, ("http://master:50070",)),
        ("hdfs:///a", ALONE, ("http://master:50070",)),
        ("hdfs://x/a", {"dfs.nameservices": "x", "dfs.namenode.http-address.x": "${h}:1", "h": "n"}, ("http://n:1",)),
    ],
)
def test_an_hdfs_site_tells_where_namenodes_serve_http(
    tmp_path: Path, uri: str, properties: dict[str, str], urls: tuple[str, ...]
) -> None:
    assert found(uri, HdfsSources(), folder=tmp_path, properties=properties).urls == urls


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("webhdfs://nn/a", "http://nn:9870"),
        ("webhdfs://nn:50070/a", "http://nn:50070"),
        ("swebhdfs://nn/a", "https://nn:9871"),
        ("swebhdfs://nn:1/a", "https://nn:1"),
        ("webhdfs://[::1]/a", "http://[::1]:9870"),
        ("webhdfs://[::1]:1/a", "http://[::1]:1"),
    ],
)
def test_webhdfs_uris_name_the_place_themselves(tmp_path: Path, uri: str, url: str) -> None:
    assert found(uri, HdfsSources(), folder=tmp_path).urls == (url,)


def test_sources_json_counts_before_the_hdfs_site(tmp_path: Path) -> None:
    given = HdfsSources(nameservices={"prod": HdfsNameservice(urls=("https://gateway:8443/gateway/default",))})
    service = found("hdfs://prod/a", given, folder=tmp_path, properties=HA)
    assert service.urls == ("https://gateway:8443/gateway/default",)


@pytest.mark.parametrize(
    ("uri", "given", "words"),
    [
        ("hdfs://nn:8020/a", HdfsSources(), 'set hdfs.nameservices.nn:8020.urls to ["http://NAMENODE:9870"]'),
        ("hdfs:///a", HdfsSources(), "there is none"),
        ("hdfs:///a", HdfsSources(nameservices={"a": HdfsNameservice(), "b": HdfsNameservice()}), "there are a, b"),
        ("hdfs://alice@nn:8020/a", HdfsSources(), "set hdfs.user in sources.json"),
        ("webhdfs:///a", HdfsSources(), "there is none"),
    ],
)
def test_what_nothing_tells_is_asked_for(tmp_path: Path, uri: str, given: HdfsSources, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        found(uri, given, folder=tmp_path)
    assert words in caught.value.detail


# --- hdfs-site.xml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><configuration/>', "a document type"),
        ('<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><configuration>&b;</configuration>', "a document type"),
        ("<configuration>", "no XML|not XML"),
        ("", "not XML"),
        ("\x00\xff", "not XML"),
        (xml({"dfs.nameservices": "${env.HOME}"}), "a variable that the file does not set"),
        (xml({"dfs.nameservices": "${a}", "a": "${b}", "b": "${a}"}), "a variable that the file does not set"),
    ],
)
def test_a_site_that_cannot_be_used_says_why(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "hdfs-site.xml").write_text(text, encoding="latin-1")
    given = HdfsSources(site="hdfs-site.xml")
    with way_out(given, secrets=tmp_path) as out, pytest.raises(InvalidRequest, match=words):
        Nameservices(out).of(DependencyUri.parse("hdfs://ns/a"))


def test_a_site_that_is_not_there_is_named() -> None:
    given = HdfsSources(site="/nonexistent/hdfs-site.xml")
    with way_out(given) as out, pytest.raises(InvalidRequest, match="/nonexistent/hdfs-site"):
        Nameservices(out).of(DependencyUri.parse("hdfs://ns/a"))


def test_of_two_values_the_last_one_counts_and_what_is_no_property_does_not() -> None:
    text = (
        "<configuration><name>stray</name><property><name>a</name><value>1</value><final>true</final></property>"
        "<property><name>a</name><value>\n2<!-- no --></value></property><property><value>3</value></property>"
        "<property><name>empty</name><value/></property></configuration>"
    )
    assert properties_of(text.encode()) == {"a": "2", "empty": ""}


@given(st.dictionaries(st.sampled_from([*HA, *ALONE, "dfs.http.policy"]), st.text("ab,.:0${}", max_size=12)))
def test_whatever_properties_say_it_is_services_or_an_error(properties: dict[str, str]) -> None:
    try:
        services = services_of(properties)
    except InvalidRequest:
        return
    for service in services:
        for scheme in ("hdfs", "webhdfs", "swebhdfs"):
            assert len(service.urls(scheme=scheme)) <= len(service.rpc)


# --- tokens

TEXT = "HAAEaGRmcwRoZGZzAIoBogSGY2mKAaIokudpAQ"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


@pytest.mark.parametrize("content", [TEXT, f" {TEXT}\n", json.dumps({"Token": {"urlString": TEXT}})])
def test_a_token_is_text_or_the_answer_that_gave_it(file: Path, content: str) -> None:
    file.write_text(content)
    assert read_token(file, nameservice="ns") == TEXT


def number(value: int) -> bytes:
    """Return a small number as `WritableUtils.writeVInt` writes it."""
    return struct.pack("b", value) if value < 128 else struct.pack(">bB", -113, value)


def stored(*tokens: tuple[str, str, bytes]) -> bytes:
    """Return a file of tokens: kind, service and identifier of each."""

    def field(value: bytes) -> bytes:
        return number(len(value)) + value

    each = (
        field(b"alias") + field(identifier) + field(b"password") + field(kind.encode()) + field(service.encode())
        for kind, service, identifier in tokens
    )
    return b"HDTS\x00" + number(len(tokens)) + b"".join(each) + number(0)


def test_of_several_tokens_the_one_of_the_nameservice_is_taken(file: Path) -> None:
    kind = "HDFS_DELEGATION_TOKEN"
    file.write_bytes(stored(("kms-dt", "kms", b"k"), (kind, "ha-hdfs:other", b"o"), (kind, "ha-hdfs:ns", b"n" * 200)))
    text = read_token(file, nameservice="ns")
    assert text == read_token_of(stored((kind, "ha-hdfs:ns", b"n" * 200)), file=file.with_name("alone"))
    assert text != read_token(file, nameservice="other")
    with pytest.raises(InvalidRequest, match="no delegation token of third"):
        read_token(file, nameservice="third")


def read_token_of(data: bytes, *, file: Path) -> str:
    file.write_bytes(data)
    return read_token(file, nameservice="ns")


@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"two words here", b"\xff\xfe\x00", b"{}", b'{"Token": {"urlString": "a b"}}', b"HDTS\x00",
     b"HDTS\x00\x05abc", b"HDTS\x01\x00\x00", b"HDTS\x00\x8f\xff\xff", b"secret\x1b[2Jsecret"],
)  # fmt: skip
def test_what_is_no_token_is_not_repeated(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InvalidRequest, match="holds no delegation token") as caught:
        read_token(file, nameservice="ns")
    assert "secret" not in caught.value.detail


@given(st.binary(max_size=60))
def test_whatever_a_file_of_tokens_holds_it_is_one_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, rest: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any-token"
    file.write_bytes(b"HDTS\x00" + rest)
    with suppress(InvalidRequest):
        assert read_token(file, nameservice="ns").isascii()
