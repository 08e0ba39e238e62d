"""The rules of egress: what a URI may name, and where connections may go."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from resolver.policy import EgressPolicy
from resolver.sources.choose import Sources
from resolver.sources.outside import Outside, open_outside
from staging_io.http import HttpSettings
from staging_protocol.errors import ExitCode, RefusedByPolicy, SourceUnavailable
from staging_protocol.sources import Allowed, Egress, Networks, SourceSettings
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, read
from tests.resolver.faulty_server import FaultyServer
from tests.services.connect_proxy import connect_proxy

LOOPBACK = Egress(networks=Networks(allow=("127.0.0.0/8",)))
METADATA = [
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376", "169.254.43518",
    "169.0xfea9fe", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "[fe80::a9fe:a9fe]", "169.254.169.254.",
    "metadata.google.internal", "METADATA.google.Internal.", "100.100.100.200",
]  # fmt: skip

Opened = Callable[..., Outside]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Return what opens a way out with rules."""
    with ExitStack() as stack:

        def make(egress: Egress = LOOPBACK, **settings: Any) -> Outside:
            base = HttpSettings(connect_timeout=5, stall_timeout=5, proxies=settings.pop("proxies", {}))
            made = open_outside(SourceSettings(egress=egress, **settings), secrets=tmp_path, base=base)
            stack.callback(made.http.close)
            return made

        yield make


def policy(environment: dict[str, str] | None = None, **settings: Any) -> EgressPolicy:
    return EgressPolicy(msgspec.convert(settings, SourceSettings), environment=environment or {})


def is_refused(rules: EgressPolicy, uri: str) -> bool:
    try:
        rules.check_uri(DependencyUri.parse(uri))
    except RefusedByPolicy:
        return True
    return False


@pytest.mark.parametrize(("egress", "uri", "refused"), [
    ({}, "https://repo.example/a.jar", False), ({}, "s3://any/a.jar", False), ({}, "http://10.0.0.7/a.jar", False),
    ({}, "staged:///jar/a.jar", False), ({}, "https://localhost/a.jar", False),
    ({"schemes": ["https"]}, "http://repo.example/a.jar", True), ({"schemes": ["HTTPS"]}, "https://h/a.jar", False),
    ({"schemes": ["https"]}, "staged:///jar/a.jar", False), ({"schemes": ["s3"]}, "s3a://b/a.jar", True),
    ({"hosts": {"allow": ["*.example"]}}, "https://repo.example/a.jar", False),
    ({"hosts": {"allow": ["*.example"]}}, "https://REPO.Example.:8443/a.jar", False),
    ({"hosts": {"allow": ["*.Example."]}}, "https://me:pw@repo.example/a.jar", False),
    ({"hosts": {"allow": ["*.example"]}}, "https://repo.example.evil/a.jar", True),
    ({"hosts": {"allow": ["*.example"]}}, "https://example/a.jar", True),
    ({"hosts": {"allow": ["repo[12].example"]}}, "https://repo3.example/a.jar", True),
    ({"hosts": {"deny": ["evil.*"]}}, "https://evil.example/a.jar", True),
    ({"hosts": {"deny": ["evil.*"]}}, "https://good.example/a.jar", False),
    ({"hosts": {"allow": ["*"], "deny": ["*.evil"]}}, "https://a.evil/a.jar", True),
    ({"hosts": {"allow": ["bücher.example"]}}, "https://xn--bcher-kva.example/a.jar", False),
    ({"hosts": {"deny": ["xn--bcher-kva.example"]}}, "https://BÜCHER.example/a.jar", True),
    ({"hosts": {"allow": ["*.example"]}}, "s3://bucket/a.jar", False),
    ({"hosts": {"allow": ["*.example"]}}, "hdfs://nn.example:8020/a.jar", False),
    ({"hosts": {"allow": ["*.example"]}}, "hdfs://nn.other:8020/a.jar", True),
    ({"buckets": {"allow": ["libs-*"]}}, "s3://libs-eu/a.jar", False),
    ({"buckets": {"allow": ["libs-*"]}}, "gs://other/a.jar", True),
    ({"buckets": {"deny": ["secret"]}}, "s3n://secret/a.jar", True),
    ({"buckets": {"deny": ["secret"]}}, "https://secret/a.jar", False),
    ({"networks": {"deny": ["10.0.0.0/8"]}}, "https://10.1.2.3/a.jar", True),
    ({"networks": {"allow": ["169.254.169.254"]}}, "http://169.254.169.254/a", False),
    ({"hosts": {"allow": ["metadata.google.internal"]}}, "http://metadata.google.internal/a", False),
    ({"hosts": {"allow": ["*"]}}, "http://metadata.google.internal/a", True),
])  # fmt: skip
def test_a_uri_is_judged_before_anything_is_asked(egress: dict[str, Any], uri: str, refused: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_refused(policy(egress=egress), uri) == refused


@pytest.mark.parametrize("host", METADATA)
def test_addresses_of_metadata_are_refused_in_every_notation(host: str) -> None:
    assert is_refused(policy(), f"http://{host}/latest/meta-data")
    assert is_refused(policy(), f"hdfs://{host}:8020/a")


@pytest.mark.parametrize("settings", [
    {"s3": {"endpoint": "http://127.0.0.1:9000"}}, {"s3": {"buckets": {"b": {"endpoint": "http://127.0.0.1:9000/"}}}},
    {"gcs": {"endpoint": "http://127.0.0.1:9000"}}, {"hdfs": {"nameservices": {"ns": {"urls": ["http://127.0.0.1:9000"]}}}},
    {"mirrors": [{"prefix": "https://h/", "to": ["http://127.0.0.1:9000/maven/"]}]},
])  # fmt: skip
def test_what_an_operator_names_is_admitted_with_its_port_only(settings: dict[str, Any]) -> None:
    named = policy(egress={"hosts": {"allow": ["repo.example"]}}, **settings)
    assert not is_refused(named, "http://127.0.0.1:9000/a.jar")
    assert is_refused(named, "http://127.0.0.1:9001/a.jar")
    denied = policy(egress={"hosts": {"deny": ["127.*"]}}, **settings)
    assert is_refused(denied, "http://127.0.0.1:9000/a.jar")


def test_endpoints_of_the_environment_are_named_too() -> None:
    for variable, value in {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000",
        "STORAGE_EMULATOR_HOST": "127.0.0.1:9000",
    }.items():
        assert not is_refused(policy({variable: value}), "http://127.0.0.1:9000/a")


@pytest.mark.parametrize(("egress", "uri", "told"), [
    ({}, "http://127.0.0.1/a?sig=c0ffee", "is loopback; if it shall be reached, add it to egress.networks.allow"),
    ({"networks": {"deny": ["10.0.0.0/8"]}}, "http://10.0.0.1/a", "is in 10.0.0.0/8, which egress.networks.deny"),
    ({"hosts": {"allow": ["b"]}}, "http://u:pw@a/a", "egress.hosts.allow of sources.json does not have 'a'"),
    ({"hosts": {"deny": ["a*"]}}, "http://a/a", "egress.hosts.deny of sources.json has 'a*'"),
    ({"buckets": {"allow": ["b"]}}, "s3://a/a", "egress.buckets.allow of sources.json does not have 'a'"),
    ({"schemes": ["https"]}, "s3://a/a", "egress.schemes of sources.json does not have 's3'"),
])  # fmt: skip
def test_a_refusal_says_which_rule_and_no_secret(egress: dict[str, Any], uri: str, told: str) -> None:
    with pytest.raises(RefusedByPolicy) as caught:
        policy(egress=egress).check_uri(DependencyUri.parse(uri))
    assert caught.value.exit_code == ExitCode.REFUSED_BY_POLICY
    assert told in caught.value.detail
    assert "c0ffee" not in caught.value.detail
    assert "pw" not in caught.value.detail


def test_a_manifest_is_refused_before_anything_is_downloaded(opened: Opened, faulty: FaultyServer) -> None:
    sources = Sources(opened())
    sources.check_uri(DependencyUri.parse(f"{faulty.url}/a.jar"))
    with pytest.raises(RefusedByPolicy):
        sources.source_of(DependencyUri.parse("http://169.254.169.254/a.jar"))
    assert faulty.requests == []


# --- names and their addresses, with real sockets


class Names:
    """A resolver of names that answers as the test says, one answer after the other; the last one stays."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, **options: Any) -> Any:
        self.asked.append(host)
        if host not in self.answers:
            return self._real(host, port, **options)
        left = self.answers[host]
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [found for address in addresses for found in self._real(address, port, **options)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Names]:
    def make(**answers: list[list[str]]) -> Names:
        resolver = Names({name.replace("_", "."): answer for name, answer in answers.items()})
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        return resolver

    return make


def named(server: FaultyServer, host: str, path: str = "a.jar") -> str:
    return f"http://{host}:{server.url.rpartition(':')[2]}/{path}"


def fetch(outside: Outside, uri: str) -> bytes:
    parsed = DependencyUri.parse(uri)
    return read(Sources(outside).source_of(parsed), parsed)


ONE = Egress(networks=Networks(allow=("127.0.0.1/32",)))


def test_a_name_that_leads_elsewhere_the_second_time_leads_nowhere(
    opened: Opened, faulty: FaultyServer, names: Callable[..., Names]
) -> None:
    faulty.put("a.jar", CONTENT)
    resolver = names(rebound_example=[["127.0.0.1"], ["169.254.169.254"]])
    outside, uri = opened(ONE), named(faulty, "rebound.example")
    assert fetch(outside, uri) == CONTENT
    assert resolver.asked == ["rebound.example"], "what was checked is what was connected to"
    outside.http.close()
    with pytest.raises(RefusedByPolicy, match=r"169\.254\.169\.254"):
        fetch(opened(ONE), uri)


def test_an_address_is_checked_for_each_connection(
    opened: Opened, faulty: FaultyServer, names: Callable[..., Names]
) -> None:
    faulty.put("a.jar", CONTENT)
    names(rebound_example=[["127.0.0.1"], ["127.0.0.2"]])
    outside = opened(ONE)
    faulty.faults["/a.jar"] = [lambda handler: handler.serve(CONTENT, Connection="close")]
    assert fetch(outside, named(faulty, "rebound.example")) == CONTENT
    with pytest.raises(RefusedByPolicy, match=r"127\.0\.0\.2 is loopback"):
        fetch(outside, named(faulty, "rebound.example"))
    assert len(faulty.requests) == 1


def test_of_several_addresses_only_admitted_ones_are_used(
    opened: Opened, faulty: FaultyServer, names: Callable[..., Names]
) -> None:
    faulty.put("a.jar", CONTENT)
    names(several_example=[["127.0.0.2", "::1", "127.0.0.1"]])
    assert fetch(opened(ONE), named(faulty, "several.example")) == CONTENT


def test_what_is_admitted_and_does_not_answer_is_unavailable(
    opened: Opened, faulty: FaultyServer, names: Callable[..., Names]
) -> None:
    names(several_example=[["127.0.0.1", "127.0.0.2"]])
    with pytest.raises(SourceUnavailable):
        fetch(opened(ONE), "http://several.example:9/a.jar")


def test_kept_connections_are_not_looked_up_again(
    opened: Opened, faulty: FaultyServer, names: Callable[..., Names]
) -> None:
    faulty.put("a.jar", CONTENT)
    resolver, outside = names(kept_example=[["127.0.0.1"]]), opened(ONE)
    source, uri = Sources(outside), DependencyUri.parse(named(faulty, "kept.example"))
    for _ in range(5):
        assert read(source.source_of(uri), uri) == CONTENT
    assert resolver.asked == ["kept.example"]


@pytest.mark.parametrize("allowed", ["hosts", "endpoint"])
def test_loopback_is_refused_unless_it_is_named(opened: Opened, faulty: FaultyServer, allowed: str) -> None:
    faulty.put("a.jar", CONTENT)
    uri = named(faulty, "localhost")
    with pytest.raises(RefusedByPolicy, match="is loopback"):
        fetch(opened(Egress(hosts=Allowed(allow=("localhost",)))), uri)
    if allowed == "hosts":
        assert fetch(opened(LOOPBACK), uri) == CONTENT
    else:
        settings = msgspec.convert({"s3": {"endpoint": named(faulty, "localhost", "")}}, SourceSettings)
        assert fetch(opened(Egress(), s3=settings.s3), uri) == CONTENT


def test_behind_a_proxy_names_count_and_addresses_that_are_written(opened: Opened, faulty: FaultyServer) -> None:
    faulty.put("a.jar", CONTENT)
    port = int(faulty.url.rpartition(":")[2])
    with connect_proxy({"inside.example": port, "metadata.goog": port}) as proxy:
        rules = Egress(hosts=Allowed(deny=("evil.example",)))
        outside = opened(rules, proxies={"http": proxy.url})
        assert fetch(outside, "http://inside.example/a.jar") == CONTENT
        for host in ("evil.example", "metadata.goog", "2852039166", "0x7f.1"):
            with pytest.raises(RefusedByPolicy):
                fetch(outside, f"http://{host}/a.jar")
        outside.http.close()
        assert [target for _, target in proxy.asked] == ["http://inside.example/a.jar"]
