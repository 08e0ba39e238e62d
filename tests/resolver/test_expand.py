"""Folders and globs: what they match, what is refused, and that listings of any size and names do no harm."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.expand import MAX_FILES, expand, expand_entries, is_pattern
from resolver.globs import parse_glob
from resolver.retry import Attempts, Clock
from resolver.settings import RetrySettings
from resolver.sources.base import Listed, Reading, Source, Stat, Version
from resolver.sources.choose import Sources
from resolver.sources.http import HttpSource
from staging_io.http import HttpClient
from staging_protocol.errors import InvalidRequest, NotFound, SourceUnavailable
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.uris import DependencyUri
from tests.resolver.outside import outside

FOLDER = DependencyUri.parse("s3://bucket/libs/")


class Listing:
    """A service that has whatever keys a test gives it, and notes what it was asked."""

    def __init__(self, *keys: str, failures: int = 0) -> None:
        self.keys: Iterator[str] = iter(())
        self._keys = keys
        self._failures = failures
        self.asked: list[tuple[str, bool]] = []
        self.given = 0

    def list(self, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
        self.asked.append((uri.path, deep))
        beginning = unquote(uri.path)
        for key in itertools.chain(self._keys, self.keys):
            rest = key.removeprefix(beginning)
            if key.startswith(beginning) and (deep or "/" not in rest):
                self.given += 1
                listed = replace(uri, path=quote(key))
                yield Listed(uri=listed, stat=Stat(size=len(key), version=Version(key, strong=True)))
            if self._failures:
                self._failures -= 1
                msg = "the second page does not come"
                raise SourceUnavailable(msg)

    def stat(self, uri: DependencyUri) -> Stat:
        raise NotImplementedError

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        raise NotImplementedError


KEYS = (
    "/libs/b.jar", "/libs/a.jar", "/libs/a.txt", "/libs/star*.jar", "/libs/x/c.jar", "/libs/x/y/d.jar", "/libs/.hidden",
    "/libs2/a.jar", "/libs/größe.jar", "/libs/set[1].jar", "/libs/a-b.jar", "/libs/z]z.jar", "/libs/10%.jar",
)  # fmt: skip


def names(path: str, *keys: str) -> list[str]:
    """Return the keys that a path stands for."""
    found = expand(DependencyUri.parse(f"s3://bucket{path}"), source=Listing(*(keys or KEYS)))
    return [unquote(one.uri.path) for one in found]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/libs/a.*", ["/libs/a.jar", "/libs/a.txt"]),
        ("/libs/?.jar", ["/libs/a.jar", "/libs/b.jar"]),
        ("/libs/[ab].jar", ["/libs/a.jar", "/libs/b.jar"]),
        ("/libs/[!a].jar", ["/libs/b.jar"]),
        ("/libs/[^b].jar", ["/libs/a.jar"]),
        ("/libs/[b-z].jar", ["/libs/b.jar"]),
        ("/libs/a[-x]b.jar", ["/libs/a-b.jar"]),
        ("/libs/z[]]z.jar", ["/libs/z]z.jar"]),
        ("/libs/z[%5D]z.jar", ["/libs/z]z.jar"]),
        ("/libs/a[%2D]?.jar", ["/libs/a-b.jar"]),
        ("/libs/{a,b}.jar", ["/libs/a.jar", "/libs/b.jar"]),
        ("/libs/{a.{jar,txt},x/c.jar}", ["/libs/a.jar", "/libs/a.txt", "/libs/x/c.jar"]),
        ("/{libs,libs2}/a.jar", ["/libs/a.jar", "/libs2/a.jar"]),
        ("/libs/*/c.jar", ["/libs/x/c.jar"]),
        ("/libs/*/*.jar", ["/libs/x/c.jar"]),
        ("/libs/**/c.jar", ["/libs/x/c.jar"]),
        ("/libs/**/a.jar", ["/libs/a.jar"]),
        ("/libs/**/*[cd].jar", ["/libs/x/c.jar", "/libs/x/y/d.jar"]),
        ("/libs/x**", ["/libs/x/c.jar", "/libs/x/y/d.jar"]),
        ("/*/a.jar", ["/libs/a.jar", "/libs2/a.jar"]),
        ("/libs/star%2A.ja?", ["/libs/star*.jar"]),
        ("/libs/set%5B?%5D.jar", ["/libs/set[1].jar"]),
        ("/libs/10%25.*", ["/libs/10%.jar"]),
        ("/libs/gr%C3%B6*", ["/libs/größe.jar"]),
        ("/libs/grö?e.jar", ["/libs/größe.jar"]),
        ("/libs/x/", ["/libs/x/c.jar"]),
        ("/li*s/x/", ["/libs/x/c.jar"]),
        ("/libs/?", None),
        ("/libs/*a*b*c*", None),
        ("/nothing/", None),
    ],
)
def test_a_pattern_matches_what_hadoops_globs_match(path: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(NotFound):
            names(path)
    else:
        assert names(path) == expected


def test_a_folder_has_its_files_sorted_by_name_and_none_that_lie_deeper() -> None:
    found = names("/libs/", "/libs/b", "/libs/a/x", "/libs/a.b", "/libs/a", "/libs/%61b")
    assert found == ["/libs/%61b", "/libs/a", "/libs/a.b", "/libs/b"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/libs/", ("/libs/", False)),
        ("/libs/a*.jar", ("/libs/a", False)),
        ("/libs/a%2A?", ("/libs/a%2A", False)),
        ("/libs/*/a.jar", ("/libs/", True)),
        ("/libs/**.jar", ("/libs/", True)),
        ("/libs/*%2Fa", ("/libs/", True)),
        ("/libs/{a,b}.jar", ("/libs/", False)),
        ("/libs/{a,x/c}.jar", ("/libs/", True)),
        ("/{libs,libs2}/a.jar", ("/", True)),
    ],
)
def test_no_more_is_listed_than_can_match(path: str, asked: tuple[str, bool]) -> None:
    listing = Listing(*KEYS, "/libs/a*?")
    with suppress(NotFound):
        expand(DependencyUri.parse(f"s3://bucket{path}"), source=listing)
    assert listing.asked == [asked]


@pytest.mark.parametrize("path", ["/libs/[a.jar", "/libs/{a,b.jar", "/libs/[z-a]", "/libs/[]", "/**/a**/b**", "/%ff*"])
def test_a_pattern_that_cannot_be_is_told(path: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_glob(path)


def test_braces_stand_for_a_hundred_patterns_at_most() -> None:
    assert len(parse_glob("/" + "{a,b,c,d,e,f,g,h,i,j}" * 2).expressions) == 100
    with pytest.raises(InvalidRequest, match="more than 100"):
        parse_glob("/" + "{a,b}" * 1000)


@pytest.mark.parametrize("pattern", ["/" + "*a" * 30 + "b", "/**/" + "a*" * 30 + "/**/x", "/" + "[!x]*" * 20 + "b"])
def test_no_name_makes_a_pattern_slow(pattern: str) -> None:
    glob, started = parse_glob(pattern), time.process_time()
    assert not glob.matches("/" + "a" * 1000)
    assert time.process_time() - started < 5  # without the precaution: longer than the universe exists


@given(
    pattern=st.text("ab*/", min_size=1, max_size=8).filter(lambda text: "**" not in text),
    path=st.text("ab/", max_size=8),
)
def test_stars_match_like_a_plain_search_would(pattern: str, path: str) -> None:
    glob = parse_glob(f"/{pattern}x")
    assert glob.matches(f"/{path}x") == _simple(f"/{pattern}x", f"/{path}x")


def _simple(pattern: str, path: str) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "*":
        here = _simple(pattern[1:], path)
        return here or (bool(path) and path[0] != "/" and _simple(pattern, path[1:]))
    return bool(path) and pattern[0] == path[0] and _simple(pattern[1:], path[1:])


# --- names that somebody else chose


@pytest.mark.parametrize(
    "key",
    ["/libs/..", "/libs/a\nb.jar", "/libs/a\x1b[2J.jar", "/libs/a\x00.jar", "/libs/", f"/libs/{'a' * 256}", "/libs/.",
     "/libs/.spark-staging-0123456789abcdef.part", "/libs/a\\b", "/libs/\u202egnp.jar", "/libs/ a.jar"],
)  # fmt: skip
def test_a_name_that_cannot_be_a_file_is_refused_and_shown_safely(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        names("/libs/", "/libs/good.jar", key)
    assert caught.value.detail.isprintable()
    assert "s3://bucket/libs/" in caught.value.detail


def test_a_name_that_leads_out_of_its_folder_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="leads out"):
        names("/libs/**.jar", "/libs/../../etc/a.jar")


def test_a_bad_name_that_does_not_match_does_no_harm() -> None:
    assert names("/libs/*.jar", "/libs/a\nb.txt", "/libs/a.jar") == ["/libs/a.jar"]


def test_a_hundred_thousand_keys_are_refused_at_the_limit_without_listing_on() -> None:
    listing = Listing()
    listing.keys = (f"/libs/{number:06}.jar" for number in range(100_000))
    with pytest.raises(InvalidRequest, match=f"more than {MAX_FILES} files"):
        expand(FOLDER, source=listing)
    assert listing.given == MAX_FILES + 1


def test_keys_that_do_not_match_do_not_count() -> None:
    listing = Listing()
    listing.keys = (f"/libs/{number:06}.{'jar' if number % 2000 == 0 else 'txt'}" for number in range(100_000))
    assert len(expand(DependencyUri.parse("s3://bucket/libs/*.jar"), source=listing)) == 50


# --- entries


def entry(uri: str, target: str = "*", kind: Kind = Kind.JAR) -> ManifestEntry:
    return ManifestEntry(uri=uri, kind=kind, target=FileName(target))


@pytest.fixture
def expanding(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[ManifestEntry]]:
    def call(*entries: ManifestEntry, listing: Source) -> list[ManifestEntry]:
        monkeypatch.setattr(Sources, "source_of", lambda _self, _uri: listing)
        http = HttpClient()
        retry = RetrySettings(attempts=3, first_wait=0.0)
        try:
            return list(
                expand_entries(
                    entries,
                    sources=Sources(outside(http)),
                    attempts=lambda name: Attempts(name, retry, Clock(60), lambda *_: None),
                )
            )
        finally:
            http.close()

    return call


Expanding = Callable[..., list[ManifestEntry]]


def test_a_pattern_is_replaced_in_its_place_by_entries_with_the_listed_size(expanding: Expanding) -> None:
    first, last = entry("https://h/first.jar", "first.jar"), entry("local:///opt/*.jar", "last.jar")
    found = expanding(first, entry("s3a://bucket/libs/{b,a}.jar"), last, listing=Listing(*KEYS))
    assert found == [
        first,
        ManifestEntry(uri="s3a://bucket/libs/a.jar", kind=Kind.JAR, target=FileName("a.jar"), size=11),
        ManifestEntry(uri="s3a://bucket/libs/b.jar", kind=Kind.JAR, target=FileName("b.jar"), size=11),
        last,
    ]


def test_what_is_named_already_is_not_repeated(expanding: Expanding) -> None:
    named = entry("s3://bucket/libs/gr%c3%b6%c3%9fe.jar", "größe.jar")
    patterns = [entry(f"s3://bucket/libs/{name}") for name in ("g*.jar", "*e.jar")]
    patterns.append(entry("s3://bucket/libs/g*", kind=Kind.FILE))
    found = expanding(*patterns, named, listing=Listing(*KEYS))
    assert [(one.kind, one.uri) for one in found] == [
        (Kind.FILE, "s3://bucket/libs/gr%C3%B6%C3%9Fe.jar"), (Kind.JAR, named.uri)
    ]  # fmt: skip


def test_a_fragment_names_the_only_match(expanding: Expanding) -> None:
    (found,) = expanding(entry("s3://bucket/libs/b*#env"), listing=Listing(*KEYS))
    assert (found.target, found.uri) == ("env", "s3://bucket/libs/b.jar#env")
    with pytest.raises(InvalidRequest, match="its fragment names one"):
        expanding(entry("s3://bucket/libs/*.jar#env"), listing=Listing(*KEYS))


def test_a_listing_that_breaks_off_is_begun_again(expanding: Expanding) -> None:
    listing = Listing(*KEYS, failures=2)
    assert len(expanding(entry("s3://bucket/libs/?.jar"), listing=listing)) == 2
    assert len(listing.asked) == 3


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://b/libs/", True), ("s3://b/*.jar", True), ("gs://b/a?.jar", True), ("hdfs:///a/{b,c}", True),
        ("s3://b/a?versionId=x", False), ("s3://b/a%2A.jar", False), ("s3://b/a.jar#x*", False),
        ("https://h/a.jar?x=*", False), ("https://h/a.jar?*", False), ("https://h/libs/", True),
        ("local:///a/*", False), ("/a/*.jar", False), ("staged:///jar/a%2A.jar", False),
    ],
)  # fmt: skip
def test_only_remote_folders_and_globs_are_patterns(uri: str, *, expected: bool) -> None:
    assert is_pattern(DependencyUri.parse(uri)) is expected


def test_a_web_server_cannot_be_listed(http: HttpClient) -> None:
    for path in ("libs/", "*.jar"):
        with pytest.raises(InvalidRequest, match="cannot be listed"):
            expand(DependencyUri.parse(f"https://host.example/{path}"), source=HttpSource(outside(http)))
