"""Mirrors: which one fits, in which order they are asked, and what happens when one gives up."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.mirrors import mirror_of, moved
from resolver.resolve import resolve
from resolver.settings import ResolveSettings
from resolver.sources.base import Identified, Listed, Lists, Stat, Version
from resolver.sources.choose import Sources
from resolver.sources.mirrored import MirroredSource
from resolver.sources.outside import Outside, open_outside
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    RefusedByPolicy,
    SourceChanged,
    SourceUnavailable,
    StagingError,
    Unauthenticated,
)
from staging_protocol.manifest import Manifest
from staging_protocol.sources import Mirror, SourceSettings
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, Served, SourceContract, read
from tests.resolver import faulty_server as faults
from tests.resolver.conftest import QUICK, entry
from tests.resolver.faulty_server import Fault, FaultyServer

REPOSITORY = "https://repo1.example/maven2/"
GONE = "http://127.0.0.1:9/"
"""Where nobody listens."""

OTHER = bytes(reversed(CONTENT))


@pytest.fixture
def two() -> Iterator[tuple[FaultyServer, FaultyServer]]:
    with FaultyServer() as first, FaultyServer() as second:
        yield first, second


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Outside]]:
    made: list[Outside] = []

    def make(*mirrors: tuple[str, list[str]], **settings: Any) -> Outside:
        rules = {
            "egress": {"networks": {"allow": ["127.0.0.0/8"]}}, **settings,
            "mirrors": [{"prefix": prefix, "to": to} for prefix, to in mirrors],
        }  # fmt: skip
        base = HttpSettings(connect_timeout=5, stall_timeout=5)
        made.append(open_outside(msgspec.convert(rules, SourceSettings), secrets=tmp_path, base=base))
        return made[-1]

    yield make
    for outside in made:
        outside.http.close()


def fetch(outside: Outside, uri: str) -> bytes:
    parsed = DependencyUri.parse(uri)
    return read(Sources(outside).source_of(parsed), parsed)


# --- which one


@pytest.mark.parametrize(("uri", "expected"), [
    ("https://repo1.example/maven2/a.jar", "https://repo1.example/maven2/"),
    ("https://repo1.example/maven2/com/a.jar", "https://repo1.example/maven2/com/"),
    ("https://repo1.example/other/a.jar", "https://repo1.example"),
    ("https://repo1.example.evil/maven2/a.jar", None), ("http://repo1.example/maven2/a.jar", None),
    ("HTTPS://repo1.example/maven2/a.jar", "https://repo1.example/maven2/"),
    ("https://me:pw@repo1.example/maven2/a.jar", None), ("https://repo1.example/maven2/a.jar?sig=x", None),
    ("s3://libs/a.jar", None), ("staged:///jar/a.jar", None),
])  # fmt: skip
def test_the_longest_prefix_fits(uri: str, expected: str | None) -> None:
    prefixes = ["https://repo1.example/maven2/", "https://repo1.example", "https://repo1.example/maven2/com/"]
    found = mirror_of(DependencyUri.parse(uri), [Mirror(prefix=one, to=("https://m/",)) for one in prefixes])
    assert (None if found is None else found.prefix) == expected


@pytest.mark.parametrize(("prefix", "to", "uri", "there"), [
    ("https://a/m/", "https://b/n/", "https://a/m/x/y.jar", "https://b/n/x/y.jar"),
    ("https://a/m/", "https://b/n", "https://a/m/x.jar", "https://b/n/x.jar"),
    ("https://a", "https://b", "https://a/x.jar", "https://b/x.jar"),
    ("https://a/", "https://b", "https://a/x.jar", "https://b/x.jar"),
    ("https://a/m-", "https://b/n-", "https://a/m-x.jar", "https://b/n-x.jar"),
    ("https://a/m", "https://b", "https://a/m.evil/x.jar", "https://b/.evil/x.jar"),
    ("https://a/m/", "s3://bucket/libs/", "https://a/m/x.jar", "s3://bucket/libs/x.jar"),
])  # fmt: skip
def test_the_prefix_is_replaced(prefix: str, to: str, uri: str, there: str) -> None:
    assert moved(uri, prefix=prefix, to=to) == there


@given(st.text("ab./:@?-", max_size=12), st.sampled_from(["https://m", "https://m/", "https://m/x", "https://m:81"]))
def test_no_uri_chooses_the_host_of_a_mirror(rest: str, to: str) -> None:
    uri = DependencyUri.parse(f"https://repo/x{rest}")
    for prefix in ("https://repo", "https://repo/"):
        mirror = mirror_of(uri, [Mirror(prefix=prefix, to=(to,))])
        assert mirror is not None
        there = DependencyUri.parse(moved(uri.without_fragment, prefix=prefix, to=to))
        assert there.authority == DependencyUri.parse(f"{to}/x").authority


# --- in which order


def test_mirrors_are_asked_in_order(opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer]) -> None:
    for server in two:
        server.put("m/a.jar", CONTENT)
    assert fetch(opened((REPOSITORY, [f"{two[0].url}/m/", f"{two[1].url}/m/"])), f"{REPOSITORY}a.jar") == CONTENT
    assert (len(two[0].requests), len(two[1].requests)) == (1, 0)


@pytest.mark.parametrize("fault", [404, 410, 403, 401, 451, 500, 503, 429, None])
def test_what_one_has_not_got_is_asked_for_at_the_next_at_once(
    opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer], fault: int | None
) -> None:
    two[1].put("a.jar", CONTENT)
    first = GONE if fault is None else f"{two[0].url}/"
    two[0].faults["/a.jar"] = [faults.status(fault or 404, **{"Retry-After": "600"})]
    assert fetch(opened((REPOSITORY, [first, f"{two[1].url}/"])), f"{REPOSITORY}a.jar") == CONTENT


def test_a_mirror_that_is_not_trusted_is_passed_over(opened: Callable[..., Outside], faulty: FaultyServer) -> None:
    faulty.put("a.jar", CONTENT)
    plain_speaking = faulty.url.replace("http://", "https://")
    assert fetch(opened((REPOSITORY, [f"{plain_speaking}/", f"{faulty.url}/"])), f"{REPOSITORY}a.jar") == CONTENT


@pytest.mark.parametrize(("statuses", "kind"), [
    ((404, 404), NotFound), ((404, 403), Denied), ((401, 404), Unauthenticated), ((404, 503), SourceUnavailable),
    ((403, 401), Denied),
])  # fmt: skip
def test_when_all_fail_each_is_named_with_its_reason(
    opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer],
    statuses: tuple[int, int], kind: type[StagingError],
) -> None:  # fmt: skip
    for server, status in zip(two, statuses, strict=True):
        server.faults["/a.jar"] = [faults.status(status)]
    with pytest.raises(kind) as caught:
        fetch(opened((REPOSITORY, [f"{server.url}/" for server in two])), f"{REPOSITORY}a.jar")
    assert type(caught.value) is kind
    for server, status in zip(two, statuses, strict=True):
        assert f"{server.url}/a.jar: {server.url}/a.jar was answered with {status}" in caught.value.detail


def test_the_shortest_wait_counts_when_all_are_busy(
    opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer]
) -> None:
    for server, wait in zip(two, ("9", "7"), strict=True):
        server.faults["/a.jar"] = [faults.status(503, **{"Retry-After": wait})]
    with pytest.raises(SourceUnavailable) as caught:
        fetch(opened((REPOSITORY, [f"{server.url}/" for server in two])), f"{REPOSITORY}a.jar")
    assert caught.value.retry_after == 7


def test_a_mirror_that_egress_refuses_is_not_asked(
    opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer]
) -> None:
    two[1].put("a.jar", CONTENT)
    egress = {"hosts": {"deny": ["localhost"]}}
    refused = f"{two[0].url.replace('127.0.0.1', 'localhost')}/"
    assert fetch(opened((REPOSITORY, [refused, f"{two[1].url}/"]), egress=egress), f"{REPOSITORY}a.jar") == CONTENT
    assert two[0].requests == []
    with pytest.raises(RefusedByPolicy, match=r"no mirror of https://repo1\.example/maven2/ may be used"):
        fetch(opened((REPOSITORY, [refused]), egress=egress), f"{REPOSITORY}a.jar")


def test_a_mirror_of_an_unknown_scheme_is_an_error(opened: Callable[..., Outside]) -> None:
    with pytest.raises(InvalidRequest, match="not supported"):
        fetch(opened((REPOSITORY, ["ftp://h/"])), f"{REPOSITORY}a.jar")


# --- staying and leaving


def test_a_dependency_stays_with_the_mirror_that_answered(
    opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer]
) -> None:
    for server in two:
        server.put("a.jar", CONTENT)
    two[0].faults["/a.jar"] = [faults.status(404)]
    uri = DependencyUri.parse(f"{REPOSITORY}a.jar")
    source = Sources(opened((REPOSITORY, [f"{server.url}/" for server in two]))).source_of(uri)
    assert isinstance(source, MirroredSource)
    version = source.stat(uri).version
    assert str(source.place(uri)) == f"{two[1].url}/a.jar"
    for start in range(0, len(CONTENT), 50_000):
        assert read(source, uri, version=version, start=start, stop=start + 10) == CONTENT[start : start + 10]
    assert len(two[0].requests) == 1


@pytest.mark.parametrize(("faults_then", "calls"), [
    ([faults.status(404)], 1), ([faults.status(403)], 1), ([faults.status(503)] * 2, 2),
    ([faults.reset(after=0)] * 3, 3),
])  # fmt: skip
def test_a_mirror_that_gives_up_in_the_middle_is_left(
    opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer], faults_then: list[Fault], calls: int
) -> None:
    for server in two:
        server.put("a.jar", CONTENT)
    uri = DependencyUri.parse(f"{REPOSITORY}a.jar")
    source = Sources(opened((REPOSITORY, [f"{server.url}/" for server in two]))).source_of(uri)
    version = source.stat(uri).version
    two[0].faults["/a.jar"] = faults_then
    for _ in range(calls - 1):
        with pytest.raises(SourceUnavailable):
            read(source, uri, version=version, start=1000, stop=2000)
    with pytest.raises(SourceChanged, match=f"fetched from the next mirror, because {two[0].url}"):
        read(source, uri, version=version, start=1000, stop=2000)
    assert read(source, uri) == CONTENT
    assert two[1].requests, "the next one was asked"


@pytest.mark.parametrize("content", [CONTENT, OTHER], ids=["the same bytes", "other bytes"])
@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
def test_a_download_goes_on_at_the_next_mirror_from_the_start(
    opened: Callable[..., Outside],
    two: tuple[FaultyServer, FaultyServer],
    tmp_path: Path,
    content: bytes,
    tags: bool,  # noqa: FBT001
) -> None:
    for server, held in zip(two, (CONTENT, content), strict=True):
        server.put("a.jar", held)
        server.sends_tags = tags

    def dying(handler: faults.Handler) -> None:
        handler.owner.files.clear()  # from now on it has nothing
        handler.serve(CONTENT)

    two[0].faults["/a.jar"] = [dying]
    outside = opened((REPOSITORY, [f"{server.url}/" for server in two]))
    (resolved,) = resolve(
        Manifest(entries=(entry(f"{REPOSITORY}a.jar", "a.jar"),)),
        folder_of=lambda _kind: tmp_path / "volume",
        sources=Sources(outside),
        settings=ResolveSettings(retry=QUICK, part_size=10_000, buffer_size=1000, deadline=60),
    )
    assert (tmp_path / "volume" / "a.jar").read_bytes() == content, "never bytes of both"
    assert resolved.size == len(content)


@pytest.mark.parametrize(
    ("part_size", "tags"), [(10_000, True), (10_000_000, True), (10_000_000, False)], ids=["parts", "whole", "no tags"]
)
def test_a_mirror_with_wrong_bytes_is_left(
    opened: Callable[..., Outside],
    two: tuple[FaultyServer, FaultyServer],
    tmp_path: Path,
    part_size: int,
    *,
    tags: bool,
) -> None:
    for server, held in zip(two, (OTHER, CONTENT), strict=True):
        server.put("a.jar", held)
        server.sends_tags = tags
    outside = opened((REPOSITORY, [f"{server.url}/" for server in two]))
    resolve(
        Manifest(entries=(entry(f"{REPOSITORY}a.jar", "a.jar", content=CONTENT),)),
        folder_of=lambda _kind: tmp_path / "volume",
        sources=Sources(outside),
        settings=ResolveSettings(retry=QUICK, part_size=part_size, buffer_size=1000, deadline=60),
    )
    assert (tmp_path / "volume" / "a.jar").read_bytes() == CONTENT


def test_a_single_mirror_is_tried_as_any_source(opened: Callable[..., Outside], faulty: FaultyServer) -> None:
    faulty.put("a.jar", CONTENT)
    uri = DependencyUri.parse(f"{REPOSITORY}a.jar")
    source = Sources(opened((REPOSITORY, [f"{faulty.url}/"]))).source_of(uri)
    version = source.stat(uri).version
    faulty.faults["/a.jar"] = [faults.status(503)] * 5
    for _ in range(5):
        with pytest.raises(SourceUnavailable):
            read(source, uri, version=version, start=10)
    assert read(source, uri, version=version, start=10) == CONTENT[10:]


def test_it_says_as_whom_and_where_it_asks(
    opened: Callable[..., Outside], faulty: FaultyServer, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("sesame")
    faulty.put("a.jar", CONTENT)
    uri = DependencyUri.parse(f"{REPOSITORY}a.jar")
    hosts = {faulty.url.removeprefix("http://"): {"bearer": "token"}}
    source = Sources(opened((REPOSITORY, [GONE, f"{faulty.url}/"]), http={"hosts": hosts})).source_of(uri)
    assert isinstance(source, MirroredSource)
    assert isinstance(source, Identified)
    assert source.identity(uri) == "nobody"
    source.stat(uri)
    assert source.identity(uri) == "the bearer of a token (token)"


# --- listing


class Shelf:
    """A source with a listing, for what is asked of mirrors about it."""

    def stat(self, uri: DependencyUri) -> Stat:
        raise NotFound(str(uri))

    def read(self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None) -> Any:
        msg = f"{uri} {version} {start} {stop}"
        raise NotFound(msg)

    def list(self, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
        if deep or "empty" in uri.path:
            msg = f"there is no {uri}"
            raise NotFound(msg)
        for name in ("a.jar", "b c.jar"):
            yield Listed(uri=DependencyUri.parse(f"s3://libs/x/{name}"), stat=Stat(size=1))


def test_a_listing_comes_from_the_first_mirror_that_can_in_words_of_the_original() -> None:
    mirror = Mirror(prefix=REPOSITORY, to=("s3://libs/empty/", "s3://libs/x/"))
    source = MirroredSource(mirror, [("s3://libs/empty/", Shelf()), ("s3://libs/x/", Shelf())])
    assert isinstance(source, Lists)
    found = [one.uri.text for one in source.list(DependencyUri.parse(f"{REPOSITORY}*.jar"), deep=False)]
    assert found == [f"{REPOSITORY}a.jar", f"{REPOSITORY}b c.jar"]


def test_where_no_mirror_lists_a_folder_is_an_error(opened: Callable[..., Outside], faulty: FaultyServer) -> None:
    uri = DependencyUri.parse(f"{REPOSITORY}lib/")
    source = Sources(opened((REPOSITORY, [f"{faulty.url}/"]))).source_of(uri)
    assert isinstance(source, Lists)
    with pytest.raises(InvalidRequest, match="no mirror of it can be listed"):
        next(source.list(uri, deep=False))


# --- the contract holds behind mirrors too


class ServedByMirrors:
    """The second mirror has everything, the first one nothing."""

    def __init__(self, opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer]) -> None:
        self._two = two
        self._opened = opened
        self.source = self._source([f"{two[0].url}/", f"{two[1].url}/"])

    def _source(self, to: list[str]) -> Any:
        return Sources(self._opened((REPOSITORY, to))).source_of(DependencyUri.parse(f"{REPOSITORY}x"))

    def put(self, name: str, content: bytes) -> DependencyUri:
        from urllib.parse import quote

        self._two[1].put(quote(name, safe="/%&+=;"), content)
        return DependencyUri.parse(f"{REPOSITORY}{quote(name, safe='/%&+=;')}")

    def missing(self) -> DependencyUri:
        return DependencyUri.parse(f"{REPOSITORY}nothing.jar")

    def unreachable(self) -> tuple[Any, DependencyUri]:
        return self._source([GONE, GONE]), DependencyUri.parse(f"{REPOSITORY}a.jar")


@pytest.fixture
def served(opened: Callable[..., Outside], two: tuple[FaultyServer, FaultyServer]) -> Served:
    return ServedByMirrors(opened, two)


class TestMirroredSource(SourceContract):
    pass


def test_a_client_closes_with_its_parent() -> None:
    parent = HttpClient()
    hasty = parent.hastier(seconds=0.5)
    assert (hasty._settings.connect_timeout, hasty._settings.stall_timeout) == (0.5, 0.5)
    parent.close()
    assert hasty._direct._is_closed
