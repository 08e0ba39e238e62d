"""Redirects of web servers: how many, to where, and what goes with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from resolver.policy import EgressPolicy
from resolver.sources.http import HttpSource
from resolver.sources.outside import Outside, open_outside
from staging_io.http import HttpSettings
from staging_protocol.errors import NotFound, RefusedByPolicy
from staging_protocol.sources import SourceSettings
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, read
from tests.resolver.faulty_server import Fault, FaultyServer
from tests.resolver.test_policy import METADATA

Follow = Callable[..., bytes]


def to(location: str, status: int = 302) -> Fault:
    return lambda handler: handler.answer(status, b"", Location=location)


def chain(server: FaultyServer, hops: int) -> str:
    """Redirect so many times; return where it begins."""
    server.put(f"{hops}.jar", CONTENT)
    for step in range(hops):
        server.faults[f"/{step}.jar"] = [to(f"/{step + 1}.jar", (301, 302, 303, 307, 308)[step % 5])]
    return f"{server.url}/0.jar"


def opened(folder: Path, **settings: Any) -> Outside:
    rules = {"egress": {"networks": {"allow": ["127.0.0.0/8"]}}, **settings}
    return open_outside(msgspec.convert(rules, SourceSettings), secrets=folder, base=HttpSettings(stall_timeout=5))


@pytest.fixture
def follow(tmp_path: Path) -> Follow:
    def call(uri: str, **settings: Any) -> bytes:
        outside = opened(tmp_path, **settings)
        try:
            return read(HttpSource(outside), DependencyUri.parse(uri))
        finally:
            outside.http.close()

    return call


@pytest.mark.parametrize(("allowed", "hops"), [(5, 5), (5, 1), (1, 1), (20, 12)])
def test_as_many_as_the_settings_say_are_followed(
    follow: Follow, faulty: FaultyServer, allowed: int, hops: int
) -> None:
    assert follow(chain(faulty, hops), http={"redirects": allowed}) == CONTENT


@pytest.mark.parametrize(("allowed", "hops"), [(5, 6), (1, 2)])
def test_one_more_is_not(follow: Follow, faulty: FaultyServer, allowed: int, hops: int) -> None:
    with pytest.raises(NotFound, match=f"more than {allowed} times"):
        follow(chain(faulty, hops), http={"redirects": allowed})
    assert len(faulty.requests) == allowed + 1


def test_a_loop_ends(follow: Follow, faulty: FaultyServer) -> None:
    faulty.faults["/a.jar"] = [to("/b.jar")] * 10
    faulty.faults["/b.jar"] = [to("/a.jar")] * 10
    with pytest.raises(NotFound, match="more than 5 times"):
        follow(f"{faulty.url}/a.jar")


def test_none_may_be_followed(follow: Follow, faulty: FaultyServer) -> None:
    with pytest.raises(RefusedByPolicy, match=r"http\.redirects of sources\.json is 0"):
        follow(chain(faulty, 1), http={"redirects": 0})
    assert len(faulty.requests) == 1


@pytest.mark.parametrize("host", METADATA)
def test_none_leads_to_metadata_in_any_notation_at_any_hop(follow: Follow, faulty: FaultyServer, host: str) -> None:
    faulty.faults["/a.jar"] = [to("/b.jar")]
    faulty.faults["/b.jar"] = [to(f"http://{host}/latest/meta-data/iam/")]
    with pytest.raises(RefusedByPolicy, match=r"a\.jar is redirected to where nothing is fetched from"):
        follow(f"{faulty.url}/a.jar")


def test_hosts_that_egress_denies_are_denied_in_redirects(follow: Follow, faulty: FaultyServer) -> None:
    faulty.faults["/a.jar"] = [to(faulty.url.replace("127.0.0.1", "localhost") + "/b.jar")]
    egress = {"networks": {"allow": ["127.0.0.0/8"]}, "hosts": {"deny": ["localhost"]}}
    with pytest.raises(RefusedByPolicy, match=r"hosts\.deny"):
        follow(f"{faulty.url}/a.jar", egress=egress)
    assert len(faulty.requests) == 1


@pytest.mark.parametrize(
    ("permitted", "works"), [((), True), (("localhost",), True), (("local*",), True), (("h",), False)]
)
def test_redirect_hosts_say_where_to(
    follow: Follow, faulty: FaultyServer, permitted: tuple[str, ...], *, works: bool
) -> None:
    faulty.put("b.jar", CONTENT)
    faulty.faults["/a.jar"] = [to(faulty.url.replace("127.0.0.1", "localhost") + "/b.jar")]
    settings = {"redirect_hosts": list(permitted)}
    if works:
        assert follow(f"{faulty.url}/a.jar", http=settings) == CONTENT
    else:
        with pytest.raises(RefusedByPolicy, match="redirect_hosts"):
            follow(f"{faulty.url}/a.jar", http=settings)
        assert follow(chain(faulty, 2), http=settings) == CONTENT, "the same host is no other place"


def test_a_scheme_that_egress_does_not_have_is_not_redirected_to(follow: Follow, faulty: FaultyServer) -> None:
    outside_rules = {"schemes": ["https"], "networks": {"allow": ["127.0.0.0/8"]}}
    faulty.faults["/a.jar"] = [to("/b.jar")]
    # The URI itself is judged by `Sources`, before; this is about the second hop.
    with pytest.raises(RefusedByPolicy, match=r"egress\.schemes"):
        follow(f"{faulty.url}/a.jar", egress=outside_rules)


def secrets(folder: Path, **texts: str) -> None:
    (folder / "web").mkdir()
    for name, text in texts.items():
        (folder / "web" / name).write_text(f"{text}\n")


def test_credentials_of_one_host_are_not_shown_to_another(tmp_path: Path, follow: Follow) -> None:
    secrets(tmp_path, token="first-token", key="first-key", other="second-token")
    with FaultyServer() as first, FaultyServer() as second:
        second.put("b.jar", CONTENT)
        first.faults["/a.jar"] = [to(f"{second.url}/b.jar")]
        hosts = {first.url[7:]: {"bearer": "web/token", "headers": {"X-Key": "web/key"}}}
        assert follow(f"{first.url}/a.jar", http={"hosts": hosts}) == CONTENT
        assert (first.headers[0]["Authorization"], first.headers[0]["X-Key"]) == ("Bearer first-token", "first-key")
        assert not {"authorization", "x-key"} & {name.lower() for name in second.headers[0]}

        first.faults["/a.jar"] = [to(f"{second.url}/b.jar")]
        hosts[second.url[7:]] = {"bearer": "web/other"}
        assert follow(f"{first.url}/a.jar", http={"hosts": hosts}) == CONTENT
        assert second.headers[1]["Authorization"] == "Bearer second-token", "but its own are shown to it"


def test_credentials_come_back_with_a_redirect_that_comes_back(tmp_path: Path, follow: Follow) -> None:
    with FaultyServer() as first, FaultyServer() as second:
        first.put("c.jar", CONTENT)
        first.faults["/a.jar"] = [to(f"{second.url}/b.jar")]
        second.faults["/b.jar"] = [to(f"{first.url}/c.jar")]
        assert follow(f"{first.url.replace('//', '//ali:sesame@')}/a.jar") == CONTENT
        assert ["Authorization" in sent for sent in (first.headers[0], second.headers[0], first.headers[1])] == [
            True, False, True,
        ]  # fmt: skip


def test_user_info_of_a_redirect_is_not_used(follow: Follow, faulty: FaultyServer) -> None:
    faulty.put("b.jar", CONTENT)
    faulty.faults["/a.jar"] = [to(faulty.url.replace("//", "//evil:twin@") + "/b.jar")]
    assert follow(f"{faulty.url}/a.jar") == CONTENT
    assert "Authorization" not in faulty.headers[1]


def test_without_rules_redirects_are_followed_all_the_same(
    follow: Follow, faulty: FaultyServer, tmp_path: Path
) -> None:
    outside = msgspec.structs.replace(opened(tmp_path), policy=None)
    assert not isinstance(outside.policy, EgressPolicy)
    assert read(HttpSource(outside), DependencyUri.parse(chain(faulty, 2))) == CONTENT
    outside.http.close()
