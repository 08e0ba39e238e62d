"""What every source promises; a source's test makes a class of each suite that fits it, with its own `served`.

`served` is a real server of the source's service, over a folder of the test.  `SourceContract` is for all sources,
`ListingContract` for those that know folders, `ChecksumContract` for those that state checksums.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Protocol
from urllib.parse import unquote

import google_crc32c
import pytest

from resolver.sources.base import Checksum, Listed, Lists, Reading, Source, Stat, Version
from staging_protocol.digests import Digest
from staging_protocol.errors import NotFound, PermanentError, SourceChanged, TransientError
from staging_protocol.uris import DependencyUri

CONTENT = bytes(range(256)) * 1000


class Served(Protocol):
    """A running service with files, and the source that reads from it."""

    source: Source

    def put(self, name: str, content: bytes) -> DependencyUri:
        """Serve `content` under `name`, instead of what was there."""

    def missing(self) -> DependencyUri:
        """Return the URI of something that is not there."""

    def unreachable(self) -> tuple[Source, DependencyUri]:
        """Return a source whose server does not answer, and a URI for it."""


def read_all(reading: Reading, *, buffer_size: int = 10_000) -> bytes:
    """Return all bytes of a reading."""
    buffer = memoryview(bytearray(buffer_size))
    found = bytearray()
    while count := reading.read_into(buffer):
        found += buffer[:count]
    return bytes(found)


def read(
    source: Source, uri: DependencyUri, *, version: Version | None = None, start: int = 0, stop: int | None = None
) -> bytes:
    """Return what the source gives for a range."""
    with source.read(uri, version=version, start=start, stop=stop) as reading:
        return read_all(reading)


class SourceContract:
    """The suite."""

    def test_it_tells_the_size_and_a_version(self, served: Served) -> None:
        stat = served.source.stat(served.put("a.bin", CONTENT))
        assert stat.size == len(CONTENT)
        assert stat.version is not None

    def test_the_version_of_a_reading_is_the_one_of_stat(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=0, stop=10) as reading:
            assert reading.stat.version == served.source.stat(uri).version
            assert reading.stat.size == len(CONTENT)

    def test_it_gives_all_bytes(self, served: Served) -> None:
        assert read(served.source, served.put("a.bin", CONTENT)) == CONTENT

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 255), (1000, 5000), (len(CONTENT) - 1, len(CONTENT))])
    def test_a_range_is_exactly_what_was_asked_for(self, served: Served, start: int, stop: int) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=start, stop=stop) as reading:
            assert (reading.start, reading.stop) == (start, stop)
            assert read_all(reading) == CONTENT[start:stop]

    def test_a_range_beyond_the_end_ends_at_the_end(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=100, stop=10**9) as reading:
            assert reading.stop == len(CONTENT)
            assert read_all(reading) == CONTENT[100:]

    def test_without_a_stop_it_reads_to_the_end(self, served: Served) -> None:
        assert read(served.source, served.put("a.bin", CONTENT), start=100) == CONTENT[100:]

    def test_an_empty_dependency_has_no_bytes(self, served: Served) -> None:
        uri = served.put("empty.bin", b"")
        assert served.source.stat(uri).size == 0
        assert read(served.source, uri) == b""

    def test_a_range_of_an_empty_dependency_has_no_bytes(self, served: Served) -> None:
        with served.source.read(served.put("empty.bin", b""), version=None, start=0, stop=100) as reading:
            assert reading.stat.size == 0
            assert read_all(reading) == b""

    def test_asking_from_the_end_on_gives_no_bytes(self, served: Served) -> None:
        assert read(served.source, served.put("a.bin", CONTENT), start=len(CONTENT)) == b""

    @pytest.mark.parametrize("name", ["with space.jar", "größe.bin", "100%25.txt", "a+b&c=d.jar", "semi;colon.jar"])
    def test_any_name_can_be_read(self, served: Served, name: str) -> None:
        assert read(served.source, served.put(name, name.encode())) == name.encode()

    def test_what_is_not_there_is_not_found(self, served: Served) -> None:
        with pytest.raises(NotFound):
            served.source.stat(served.missing())
        with pytest.raises(NotFound):
            read(served.source, served.missing())

    def test_the_same_version_can_be_read_in_pieces(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        version = served.source.stat(uri).version
        pieces = [
            read(served.source, uri, version=version, start=at, stop=min(at + 7000, len(CONTENT)))
            for at in range(0, len(CONTENT), 7000)
        ]
        assert b"".join(pieces) == CONTENT

    def test_a_version_that_is_gone_is_noticed(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with pytest.raises(SourceChanged):
            read(served.source, uri, version=Version('"another"', strong=True), start=10, stop=20)

    def test_a_server_that_does_not_answer_may_answer_later(self, served: Served) -> None:
        source, uri = served.unreachable()
        with pytest.raises(TransientError):
            source.stat(uri)
        with pytest.raises(TransientError):
            read(source, uri)

    def test_its_messages_never_hold_a_query(self, served: Served) -> None:
        uri = DependencyUri.parse(f"{served.missing().text}?X-Amz-Signature=c0ffee")
        with pytest.raises(PermanentError) as caught:
            read(served.source, uri)
        assert "c0ffee" not in caught.value.detail

    def test_several_threads_can_read_at_once(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda at: read(served.source, uri, start=at, stop=at + 100), range(0, 4000, 100)))
        assert found == [CONTENT[at : at + 100] for at in range(0, 4000, 100)]

    def test_a_reading_may_be_left_early(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=0, stop=None) as reading:
            reading.read_into(memoryview(bytearray(10)))
        assert read(served.source, uri) == CONTENT


# --- listings

MANY = 1100
"""Names; the services give at most 1,000 in one answer."""

NAMES = [
    "plain.jar", "with space.jar", "größe.bin", "a+b&c=d.jar", "semi;colon.jar", "star*.jar", "one?.jar", "set[1].jar",
    "either{a,b}.jar", "hash#.jar", "tilde~.jar", "'quoted'.jar", "comma,.jar",
]  # fmt: skip


class ServedFolder(Served, Protocol):
    """A running service with a folder of the test's own, in which `put` puts, also below (`put("sub/a.jar", …)`)."""

    def folder(self) -> DependencyUri:
        """Return the folder's URI, which ends with a slash."""

    def put_many(self, names: Iterable[str]) -> None:
        """Serve something under each of many names, as fast as the service takes them."""

    def make_folder(self, name: str) -> None:
        """Make an empty folder `name` there, or the empty object `name/` that stands for one."""


def listed(served: ServedFolder, beginning: str = "", *, deep: bool = False) -> dict[str, Listed]:
    """Return what is listed below the test's folder, by decoded names relative to it; each is there once."""
    source, folder = served.source, served.folder()
    assert isinstance(source, Lists)
    found = list(source.list(replace(folder, path=folder.path + beginning), deep=deep))
    names = {_relative(one.uri, folder): one for one in found}
    assert len(names) == len(found)
    return names


def _relative(uri: DependencyUri, folder: DependencyUri) -> str:
    path, base = unquote(uri.path), unquote(folder.path)
    assert (uri.scheme, uri.authority, path.startswith(base)) == (folder.scheme, folder.authority, True)
    return path.removeprefix(base)


class ListingContract:
    """The suite for a source that `Lists`."""

    names: list[str] = NAMES
    """Names that the service can hold."""

    def test_a_folder_is_listed_without_what_lies_deeper(self, served: ServedFolder) -> None:
        served.put_many(["b.jar", "a.jar", "sub/c.jar", "sub/deeper/d.jar"])
        assert listed(served).keys() == {"a.jar", "b.jar"}

    def test_a_deep_listing_has_everything_below(self, served: ServedFolder) -> None:
        served.put_many(["a.jar", "sub/c.jar", "sub/deeper/d.jar"])
        assert listed(served, deep=True).keys() == {"a.jar", "sub/c.jar", "sub/deeper/d.jar"}

    def test_what_follows_the_last_slash_is_how_names_begin(self, served: ServedFolder) -> None:
        served.put_many(["lib-1.jar", "lib-2.jar", "other.jar", "lib-sub/c.jar", "x/lib-3.jar"])
        assert listed(served, "lib-").keys() == {"lib-1.jar", "lib-2.jar"}
        assert listed(served, "lib-", deep=True).keys() == {"lib-1.jar", "lib-2.jar", "lib-sub/c.jar"}
        assert listed(served, "x/l").keys() == {"x/lib-3.jar"}

    def test_a_listing_tells_what_stat_tells(self, served: ServedFolder) -> None:
        uri = served.put("a.jar", CONTENT)
        (one,) = listed(served).values()
        stat = served.source.stat(uri)
        assert one.stat.size == stat.size == len(CONTENT)
        assert one.stat.version in {None, stat.version}

    def test_whatever_the_names_are_what_is_listed_can_be_read(self, served: ServedFolder) -> None:
        for name in self.names:
            served.put(name, name.encode())
        found = listed(served)
        assert found.keys() == set(self.names)
        assert {name: read(served.source, one.uri).decode() for name, one in found.items()} == {
            name: name for name in self.names
        }

    def test_a_listed_uri_names_one_file_and_no_pattern(self, served: ServedFolder) -> None:
        served.put_many(self.names)
        for one in listed(served).values():
            assert not set("*?[]{}# ") & set(one.uri.text)
            assert DependencyUri.parse(one.uri.text) == one.uri

    def test_more_names_than_one_answer_holds_are_all_listed(self, served: ServedFolder) -> None:
        names = {f"sub/{number:04}.jar" for number in range(MANY)}
        served.put_many(sorted(names))
        assert listed(served, "sub/").keys() == names
        assert listed(served, "sub/", deep=True).keys() == names
        assert len(listed(served, "sub/00")) == 100

    def test_empty_folders_are_not_listed(self, served: ServedFolder) -> None:
        served.put("a.jar", b"x")
        served.make_folder("empty")
        assert listed(served).keys() == listed(served, deep=True).keys() == {"a.jar"}
        assert listed(served, "empty/") == {}

    def test_an_empty_file_is_listed(self, served: ServedFolder) -> None:
        served.put("empty.jar", b"")
        assert listed(served)["empty.jar"].stat.size == 0

    def test_a_folder_that_is_not_there_has_nothing_or_is_not_found(self, served: ServedFolder) -> None:
        served.put("a.jar", b"x")
        try:
            found = listed(served, "nothing-here/")
        except NotFound:
            found = {}
        assert found == {}

    def test_a_file_is_no_folder(self, served: ServedFolder) -> None:
        served.put("a.jar", b"x")
        try:
            found = listed(served, "a.jar/")
        except NotFound:
            found = {}
        assert found == {}

    def test_everything_of_the_place_can_be_listed(self, served: ServedFolder) -> None:
        uri = served.put("a.jar", b"x")
        assert isinstance(served.source, Lists)
        found = served.source.list(replace(served.folder(), path="/"), deep=True)
        assert unquote(uri.path) in {unquote(one.uri.path) for one in found}


# --- checksums

_SUMS: dict[str, Callable[[bytes], bytes]] = {
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: int(google_crc32c.value(data)).to_bytes(4, "big"),
}


def expected(checksum: Checksum, content: bytes) -> bytes:
    """Return the value that `checksum` has to have when it is about `content`."""
    checksum_of = _SUMS[checksum.algorithm]
    if not checksum.parts:
        return checksum_of(content)
    ends = [sum(checksum.parts[:number]) for number in range(len(checksum.parts) + 1)]
    assert ends[-1] == len(content)
    return checksum_of(b"".join(checksum_of(content[start:stop]) for start, stop in pairwise(ends)))


def check_stated(stat: Stat, content: bytes) -> None:
    """Fail unless something is stated about `content`, and all of it is right."""
    assert stat.checksums or stat.digest
    assert stat.digest in {None, Digest.of(content)}
    for checksum in stat.checksums:
        assert checksum.value == expected(checksum, content), checksum


class ChecksumContract:
    """The suite for a source that states checksums; objects in parts (`Checksum.parts`) are for its own tests."""

    @pytest.mark.parametrize("content", [CONTENT, b"", b"x"], ids=["some", "empty", "one byte"])
    def test_what_is_stated_about_a_dependency_is_right(self, served: Served, content: bytes) -> None:
        uri = served.put("a.bin", content)
        check_stated(served.source.stat(uri), content)

    def test_an_answer_with_all_bytes_states_it_too(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=0, stop=None) as reading:
            check_stated(reading.stat, CONTENT)

    def test_a_range_states_nothing_about_the_range(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=100, stop=200) as reading:
            for checksum in reading.stat.checksums:
                assert checksum.value == expected(checksum, CONTENT)
            if not reading.stat.checksums and reading.stat.digest is None:
                assert reading.stat.says_less
