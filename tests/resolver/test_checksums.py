"""Checksums that sources state: verified every time, chosen by cost, and remembered for the next run."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from resolver import checksums
from resolver.checksums import cheapest, check_for
from resolver.hashing import FollowingHashing
from resolver.resolve import resolve
from resolver.run import Resolved
from resolver.settings import ResolveSettings
from resolver.sources.base import Algorithm, Checksum, Reading, Source, Stat, Version
from resolver.sources.choose import Sources
from resolver.sources.http import HttpSource
from staging_io.files import hidden
from staging_io.http import HttpClient
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, SourceChanged
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.uris import DependencyUri
from tests.contracts.source import expected
from tests.resolver import faulty_server as faults
from tests.resolver.conftest import QUICK
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.outside import outside

CONTENT = random.Random(5).randbytes(95_000)  # noqa: S311 - test data
ALL: tuple[Algorithm, ...] = ("crc32", "crc32c", "md5", "sha1", "sha256")
PARTS = (40_000, 40_000, 15_000)
SETTINGS = ResolveSettings(retry=QUICK, part_size=10_000, buffer_size=1000, deadline=60)
WHOLE = msgspec.structs.replace(SETTINGS, part_size=1_000_000)
URI = DependencyUri.staged("jar", FileName("a.jar"))


def stated(algorithm: Algorithm, content: bytes = CONTENT, parts: tuple[int, ...] = ()) -> Checksum:
    empty = Checksum(algorithm=algorithm, value=b"", parts=parts)
    return Checksum(algorithm=algorithm, value=expected(empty, content), parts=parts)


def wrong(algorithm: Algorithm, parts: tuple[int, ...] = ()) -> Checksum:
    right = stated(algorithm, parts=parts)
    return msgspec.structs.replace(right, value=bytes(byte ^ 1 for byte in right.value))


class _Stating(msgspec.Struct):
    """A reading whose source says more."""

    inner: Reading
    stat: Stat

    @property
    def start(self) -> int:
        return self.inner.start

    @property
    def stop(self) -> int | None:
        return self.inner.stop

    @property
    def says_its_end(self) -> bool:
        return self.inner.says_its_end

    def read_into(self, buffer: memoryview) -> int:
        return self.inner.read_into(buffer)


@dataclass
class Stating:
    """A web server's file, about which more is stated than web servers do: by `of_stat` and `of_read`."""

    inner: Source
    uri: DependencyUri
    of_stat: Callable[[Stat], Stat]
    of_read: Callable[[Stat], Stat]
    asked: int = field(default=0)

    def stat(self, uri: DependencyUri) -> Stat:
        del uri
        self.asked += 1
        return self.of_stat(self.inner.stat(self.uri))

    @contextmanager
    def _opened(self, version: Version | None, start: int, stop: int | None) -> Iterator[Reading]:
        with self.inner.read(self.uri, version=version, start=start, stop=stop) as reading:
            yield _Stating(reading, self.of_read(reading.stat))

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        del uri
        return self._opened(version, start, stop)


@dataclass
class Volume:
    """Brings `a.jar` into a folder, from a source that states what a test wants."""

    folder: Path
    faulty: FaultyServer
    http: HttpClient

    def source(self, *checksums: Checksum, **more: object) -> Stating:
        def said(stat: Stat) -> Stat:
            return msgspec.structs.replace(stat, **{"checksums": checksums, **more})

        url = DependencyUri.parse(self.faulty.put("a.jar", CONTENT))
        return Stating(HttpSource(outside(self.http)), url, of_stat=said, of_read=said)

    def bring(self, source: Source, *, digest: Digest | None = None, settings: ResolveSettings = SETTINGS) -> Resolved:
        one = ManifestEntry(uri=URI.text, kind=Kind.JAR, target=FileName("a.jar"), digest=digest)
        (resolved,) = resolve(
            Manifest(entries=(one,)),
            folder_of=lambda _kind: self.folder,
            sources=Sources(outside(self.http), staged=lambda: source),
            settings=settings,
        )
        assert (self.folder / "a.jar").read_bytes() == CONTENT
        return resolved


@pytest.fixture
def volume(tmp_path: Path, faulty: FaultyServer, http: HttpClient) -> Volume:
    return Volume(tmp_path / "volume", faulty, http)


each_way = pytest.mark.parametrize("settings", [SETTINGS, WHOLE], ids=["parts", "one piece"])
each_algorithm = pytest.mark.parametrize("algorithm", ALL)
each_shape = pytest.mark.parametrize("parts", [(), PARTS], ids=["plain", "composite"])


@each_way
@each_algorithm
@each_shape
def test_a_right_checksum_is_enough(
    volume: Volume, settings: ResolveSettings, algorithm: Algorithm, parts: tuple[int, ...]
) -> None:
    resolved = volume.bring(volume.source(stated(algorithm, parts=parts)), settings=settings)
    assert resolved.digest is None
    assert resolved.size == len(CONTENT)


@each_way
@each_algorithm
@each_shape
def test_a_wrong_checksum_is_fetched_once_again_and_then_refused(
    volume: Volume, settings: ResolveSettings, algorithm: Algorithm, parts: tuple[int, ...]
) -> None:
    with pytest.raises(DigestMismatch, match=algorithm) as caught:
        volume.bring(volume.source(wrong(algorithm, parts)), settings=settings)
    assert caught.value.exit_code == 42
    assert list(volume.folder.iterdir()) == []
    starts = [span for _, _, span in volume.faulty.requests if span in {None, "bytes=0-9999", "bytes=0-999999"}]
    assert len(starts) == 2


@each_way
@pytest.mark.parametrize("algorithm", ["crc32c", "md5"])
def test_bytes_that_were_damaged_once_are_fetched_again(
    volume: Volume, settings: ResolveSettings, algorithm: Algorithm
) -> None:
    volume.faulty.faults["/a.jar"] = [faults.corrupt(CONTENT)]
    volume.bring(volume.source(stated(algorithm)), settings=settings)


def test_a_crc_of_parts_is_verified_without_reading_them_again(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.attempt.FollowingHashing", None)
    volume.bring(volume.source(stated("crc32c"), stated("md5")))
    monkeypatch.setattr("resolver.attempt.FollowingHashing", FollowingHashing)
    (volume.folder / "a.jar").unlink()
    with pytest.raises(DigestMismatch):
        volume.bring(volume.source(wrong("md5")))


@each_way
def test_the_digest_of_the_manifest_proves_the_bytes_alone(volume: Volume, settings: ResolveSettings) -> None:
    source = volume.source(wrong("crc32c"))
    assert volume.bring(source, digest=Digest.of(CONTENT), settings=settings).digest == Digest.of(CONTENT)
    with pytest.raises(DigestMismatch):
        volume.bring(source, digest=Digest.of(b"other"), settings=settings)


@each_way
def test_whoever_wants_digests_gets_them_and_the_checksum_is_verified_too(
    volume: Volume, settings: ResolveSettings
) -> None:
    settings = msgspec.structs.replace(settings, digests=True)
    source = volume.source(stated("crc32"))
    assert volume.bring(source, settings=settings).digest == Digest.of(CONTENT)
    again = volume.bring(source, settings=settings)
    assert (again.reused, again.digest) == (True, Digest.of(CONTENT))
    (volume.folder / "a.jar").unlink()
    with pytest.raises(DigestMismatch):
        volume.bring(volume.source(wrong("crc32")), settings=settings)


@pytest.mark.parametrize(
    "checksums", [(), (stated("crc32", b"abc", parts=(1, 2)),)], ids=["nothing", "parts of another file"]
)
def test_without_a_checksum_that_can_be_verified_a_second_run_still_knows_what_it_brought(
    volume: Volume, checksums: tuple[Checksum, ...]
) -> None:
    source = volume.source(*checksums)
    assert volume.bring(source).digest is None
    assert volume.bring(source).reused
    (volume.folder / "a.jar").write_bytes(bytes(reversed(CONTENT)))
    assert not volume.bring(source).reused


def test_the_cheapest_checksum_is_chosen() -> None:
    checksums = [stated(algorithm) for algorithm in ("md5", "sha256", "crc32c", "sha1", "crc32")]
    order = []
    while (chosen := cheapest(checksums, size=len(CONTENT))) is not None:
        order.append(chosen.algorithm)
        checksums.remove(chosen)
    assert order == ["crc32c", "crc32", "sha1", "sha256", "md5"]


def test_without_google_crc32c_its_checksum_is_as_if_not_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    monkeypatch.setattr(checksums, "crc32c", checksums.crc32c.__wrapped__)  # what it remembers would be wrong
    both = Stat(size=len(CONTENT), checksums=(stated("crc32c"), stated("md5")))
    assert check_for(both).checksum == stated("md5")
    assert check_for(Stat(size=len(CONTENT), checksums=(stated("crc32c"),))) == check_for(Stat(size=len(CONTENT)))


def test_the_digest_of_the_source_counts_more_than_its_checksums(volume: Volume) -> None:
    assert volume.bring(volume.source(wrong("crc32c"), digest=Digest.of(CONTENT))).digest == Digest.of(CONTENT)


# --- sources that say less, and sources that notice nothing


def test_checksums_that_only_stat_states_are_asked_for_once(volume: Volume) -> None:
    source = volume.source(wrong("crc32c"))
    source.of_read = lambda stat: msgspec.structs.replace(stat, says_less=True)
    with pytest.raises(DigestMismatch, match="crc32c"):
        volume.bring(source)
    assert source.asked == 2  # once for each try
    source.asked = 0
    volume.bring(source, digest=Digest.of(CONTENT))
    assert source.asked == 0


def test_a_change_between_an_answer_and_its_checksum_is_noticed(volume: Volume) -> None:
    source = volume.source(stated("crc32c"), version=Version("other", strong=True))
    source.of_read = lambda stat: msgspec.structs.replace(stat, says_less=True)
    with pytest.raises(SourceChanged):
        volume.bring(source)
    assert source.asked == 2


@each_way
def test_a_source_that_notices_no_change_is_asked_at_the_end(volume: Volume, settings: ResolveSettings) -> None:
    source = volume.source(unpinned=True)
    answers = ["new", None]

    def of_stat(stat: Stat) -> Stat:
        new = answers.pop(0)
        return stat if new is None else msgspec.structs.replace(stat, version=Version(new, strong=True))

    source.of_stat = of_stat
    volume.bring(source, settings=settings)
    assert answers == []


def test_a_source_that_changes_every_time_is_given_up(volume: Volume) -> None:
    source = volume.source(unpinned=True)
    source.of_stat = lambda stat: msgspec.structs.replace(stat, size=1)
    with pytest.raises(SourceChanged):
        volume.bring(source)
    assert source.asked == 2
    assert list(volume.folder.iterdir()) == []


# --- the next run


@each_way
@each_algorithm
@each_shape
def test_a_second_run_moves_nothing_and_asks_once(
    volume: Volume, settings: ResolveSettings, algorithm: Algorithm, parts: tuple[int, ...]
) -> None:
    source = volume.source(stated(algorithm, parts=parts))
    volume.bring(source, settings=settings)
    volume.faulty.requests.clear()
    again = volume.bring(source, settings=settings)
    assert (again.reused, again.size) == (True, len(CONTENT))
    assert [method for method, _, _ in volume.faulty.requests] == ["HEAD"]


@pytest.mark.parametrize("algorithm", ["crc32", "sha1"])
def test_a_file_that_changed_on_the_disk_is_brought_again(volume: Volume, algorithm: Algorithm) -> None:
    source = volume.source(stated(algorithm))
    volume.bring(source)
    (volume.folder / "a.jar").write_bytes(CONTENT[:-1] + b"?")
    assert not volume.bring(source).reused


def test_all_records_of_a_folder_are_one_file(volume: Volume) -> None:
    volume.bring(volume.source(stated("crc32c")))
    assert {path.name for path in volume.folder.iterdir()} == {"a.jar", hidden("/.records", "jsonl").name}


def test_half_a_line_of_a_killed_run_is_worth_nothing_and_spoils_nothing(volume: Volume) -> None:
    source, records = volume.source(stated("crc32c")), hidden(volume.folder / ".records", "jsonl")
    volume.bring(source)
    records.write_bytes(records.read_bytes()[:-10])
    assert not volume.bring(source).reused
    assert volume.bring(source).reused


def test_records_do_not_grow_for_ever(volume: Volume) -> None:
    source, records = volume.source(stated("crc32c")), hidden(volume.folder / ".records", "jsonl")
    volume.bring(source)
    line = records.read_bytes()
    records.write_bytes(line * 1100)
    assert volume.bring(source).reused
    assert records.read_bytes() == line
