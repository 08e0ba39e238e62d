"""Digests are right, remembered for what does not change, and never remembered for what may."""

import os
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch
from staging_protocol.manifest import Kind
from submission.classify import named
from submission.progress.lines import Quiet
from submission.staging.digest_cache import DigestCache, is_racy
from submission.staging.hashing import HashedFile, hashed
from submission.staging.local_files import FileVersion, found


class Bytes(Quiet):
    """Counts the bytes that were read."""

    def __init__(self) -> None:
        self.read = self.files = 0
        self._lock = threading.Lock()

    def advance(self, size: int, *, files: int = 0) -> None:
        with self._lock:
            self.read += size
            self.files += files

    def notice(self, text: str) -> None:
        raise AssertionError(text)


def digests(*paths: Path, cache: DigestCache | None) -> tuple[tuple[HashedFile, ...], int]:
    _, files = found(named(Kind.FILE, map(str, paths), by="--files"))
    progress = Bytes()
    return hashed(files, cache=cache, progress=progress, stop=threading.Event()), progress.read


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files count as written long ago: a change time cannot be set back."""
    monkeypatch.setattr("submission.staging.digest_cache.is_racy", lambda _version: False)


def test_digests_are_those_of_the_content_in_the_order_of_the_files(tmp_path: Path) -> None:
    paths = []
    for number in range(7):
        paths.append(tmp_path / f"{number}.bin")
        paths[-1].write_bytes(bytes([number]) * (number * 700_001))

    result, _ = digests(*paths, cache=None)

    assert [one.digest.hex for one in result] == [sha256(path.read_bytes()).hexdigest() for path in paths]


@pytest.mark.usefixtures("old")
def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    first, read = digests(tmp_path / "a", cache=DigestCache(tmp_path / "cache"))

    second, read_again = digests(tmp_path / "a", cache=DigestCache(tmp_path / "cache"))

    assert (read, read_again) == (3, 0)
    assert first[0].digest == second[0].digest


@pytest.mark.usefixtures("old")
def test_other_content_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    times = ((status := (tmp_path / "a").stat()).st_atime_ns, status.st_mtime_ns)
    digests(tmp_path / "a", cache=DigestCache(tmp_path / "cache"))
    (tmp_path / "a").write_bytes(b"xyz")
    os.utime(tmp_path / "a", ns=times)  # as rsync --inplace --times does; the change time tells

    result, _ = digests(tmp_path / "a", cache=DigestCache(tmp_path / "cache"))

    assert result[0].digest == Digest.of(b"xyz")


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    digests(tmp_path / "a", cache=DigestCache(tmp_path / "cache"))

    _, read = digests(tmp_path / "a", cache=DigestCache(tmp_path / "cache"))

    assert read == 3


def test_a_time_in_the_future_is_never_trusted() -> None:
    assert is_racy(FileVersion(device=1, inode=1, size=1, mtime_ns=2**62, ctime_ns=0))


@pytest.mark.usefixtures("old")
def test_a_damaged_cache_changes_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.sqlite").write_bytes(b"this is no database" * 100)
    (tmp_path / "a").write_bytes(b"abc")

    result, _ = digests(tmp_path / "a", cache=DigestCache(tmp_path / "cache"))

    assert result[0].digest == Digest.of(b"abc")


@pytest.mark.usefixtures("old")
def test_runs_at_the_same_time_share_one_cache(tmp_path: Path) -> None:
    paths = []
    for number in range(40):
        paths.append(tmp_path / f"{number}.bin")
        paths[-1].write_bytes(bytes([number]))
    errors: list[BaseException] = []

    def one_run(mine: list[Path]) -> None:
        try:
            for path in mine:
                digests(path, cache=DigestCache(tmp_path / "cache"))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=one_run, args=(paths[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    _, read = digests(*paths, cache=DigestCache(tmp_path / "cache"))
    assert (errors, read) == ([], 0)


def test_a_file_that_is_written_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")

    class Writing(Bytes):
        def advance(self, size: int, *, files: int = 0) -> None:
            path.write_bytes(bytes(100 - self.read))
            super().advance(size, files=files)

    _, files = found(named(Kind.FILE, [str(path)], by="--files"))

    with pytest.raises(DigestMismatch, match="changes while it is read"):
        hashed(files, cache=None, progress=Writing(), stop=threading.Event())
