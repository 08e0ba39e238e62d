"""Blobs in a folder."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NoSpace
from staging_protocol.uploads import UploadId
from staging_server.blobs import local_writer
from staging_server.blobs.base import BlobKey, BlobStore
from staging_server.blobs.kept_hashes import KeptHashes
from staging_server.blobs.local import LocalBlobs
from tests.contracts.blob_store import BlobStoreContract, contents, resumed, stored


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalBlobs]:
    blobs = LocalBlobs(tmp_path, io_threads=2, flush_every=1)
    await blobs.prepare()
    yield blobs
    await blobs.close()


class TestLocalBlobs(BlobStoreContract):
    async def lose_hashes(self, store: BlobStore) -> None:
        assert isinstance(store, LocalBlobs)
        store._hashes = KeptHashes()


async def test_a_commit_syncs_the_file_then_renames_then_syncs_the_folder(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(fd: int) -> None:
        calls.append(f"fsync {str(Path(f'/proc/self/fd/{fd}').readlink()).removeprefix(str(tmp_path))}")
        real_fsync(fd)

    def rename(path: Path, target: Path) -> Path:
        calls.append(f"rename {str(target).removeprefix(str(tmp_path))}")
        return real_rename(path, target)

    upload = UploadId.generate()
    key = BlobKey.of(Digest.of(b"x"), upload=upload)
    writer = await store.create(upload)
    await writer.write([b"x"])
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    await writer.commit(key)
    assert calls == [f"fsync /uploads/{upload}", f"rename /{key}", f"fsync /sha256/{key[7:9]}"]


async def test_an_offset_is_told_after_the_file_and_its_entry_were_flushed(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def record(name: str) -> None:
        real = getattr(os, name)

        def flush(fd: int) -> None:
            calls.append(f"{name} {str(Path(f'/proc/self/fd/{fd}').readlink()).removeprefix(str(tmp_path))}")
            real(fd)

        monkeypatch.setattr(os, name, flush)

    record("fsync")
    record("fdatasync")
    upload = UploadId.generate()
    for part in (b"whole", b"content"):
        writer = await resumed(store, upload)
        await writer.write([part])
        await writer.checkpoint()
        await writer.park()
    file = f"fdatasync /uploads/{upload}"
    assert calls == [file, "fsync /uploads", file]


async def test_an_upload_without_bytes_has_no_file(store: LocalBlobs, tmp_path: Path) -> None:
    """One that a late writer made could hide the bytes that an interrupted commit left elsewhere."""
    upload = UploadId.generate()
    writer = await resumed(store, upload)
    assert await writer.checkpoint() == 0
    await writer.park()
    assert [*(tmp_path / "uploads").iterdir()] == []


async def test_a_part_that_finds_the_disk_full_keeps_what_was_written(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.writev

    def some(fd: int, views: list[memoryview]) -> int:
        if len(views[0]) <= 2:
            raise OSError(28, "No space left on device")
        return real(fd, [views[0][:3]])

    upload = UploadId.generate()
    writer = await resumed(store, upload)
    with monkeypatch.context() as full:
        full.setattr(os, "writev", some)
        with pytest.raises(NoSpace):
            await writer.write([b"whole"])
    assert (writer.size, await writer.checkpoint()) == (3, 3)
    await writer.park()
    writer = await resumed(store, upload)
    assert writer.size == 3
    await writer.write([b"le"])
    assert await writer.digest() == Digest.of(b"whole")
    await writer.cancel()


async def test_a_hash_that_is_kept_saves_reading_the_file_back(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = UploadId.generate()
    for part in (b"whole", b"content"):
        writer = await resumed(store, upload)
        await writer.write([part])
        await writer.park()
    writer = await resumed(store, upload)
    monkeypatch.delattr(os, "pread")
    assert await writer.digest() == Digest.of(b"wholecontent")
    await writer.cancel()


async def test_a_digest_that_is_given_up_in_the_middle_goes_on_later(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose patience ends asks again; a large file must not be read from its beginning each time."""
    content = os.urandom(400_000)
    upload = UploadId.generate()
    writer = await resumed(store, upload, content)
    await writer.write([content])
    await writer.park()
    store._hashes = KeptHashes()
    read: list[int] = []
    real, first_step = os.pread, asyncio.Event()
    loop = asyncio.get_running_loop()

    def pread(fd: int, size: int, offset: int) -> bytes:
        read.append(offset)
        loop.call_soon_threadsafe(first_step.set)
        return real(fd, size, offset)

    monkeypatch.setattr(local_writer, "_READ_BACK", 1000)
    monkeypatch.setattr(os, "pread", pread)
    writer = await resumed(store, upload, content)
    reading = asyncio.create_task(writer.digest())
    await first_step.wait()
    reading.cancel()
    await asyncio.wait([reading])
    await writer.park()
    writer = await resumed(store, upload, content)
    assert await writer.digest() == Digest.of(content)
    assert read == [*range(0, 400_000, 1000)], "each piece once"
    await writer.cancel()


@pytest.mark.parametrize("asked", [False, True])
async def test_a_hash_ahead_of_what_was_written_is_not_used(store: LocalBlobs, asked: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    """The hash of a piece is made beside its write; when that fails, the hash has seen bytes that are not there."""
    upload = UploadId.generate()
    writer = await resumed(store, upload)
    await writer.write([b"whole"])
    writer.hash_now(memoryview(b"lost"), offset=5)
    if asked:
        assert await writer.digest() == Digest.of(b"whole")
    await writer.park()
    writer = await resumed(store, upload)
    assert await writer.digest() == Digest.of(b"whole")
    await writer.cancel()


def test_of_the_hashes_that_are_kept_the_oldest_go_first() -> None:
    kept = KeptHashes(most=2)
    for name in "abc":
        kept.keep(name, inode=1, hashed=5, state=hashlib.sha256())
    assert kept.take("a", inode=1) is None
    assert kept.take("b", inode=2) is None, "another file by now"
    assert kept.take("c", inode=1) is not None
    assert kept.take("c", inode=1) is None, "taken once"


async def test_a_lock_on_a_file_that_lost_its_name_is_worth_nothing(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had it before may rename or remove it between our open and our lock."""
    upload = UploadId.generate()
    path = tmp_path / "uploads" / upload
    path.write_bytes(b"of the one before")
    real = fcntl.flock

    def too_late(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        path.unlink()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", too_late)
    writer = await resumed(store, upload)
    assert writer.size == 0
    await writer.write([b"new"])
    await writer.park()
    assert path.read_bytes() == b"new"


async def test_an_upload_under_way_is_not_abandoned_however_old(store: LocalBlobs, tmp_path: Path) -> None:
    upload = UploadId.generate()
    writer = await store.create(upload)
    await writer.write([b"x"])
    os.utime(tmp_path / "uploads" / upload, (0, 0))
    assert [found async for found in store.abandoned()] == []
    await writer.cancel()


async def test_what_a_dead_process_left_is_abandoned(store: LocalBlobs, tmp_path: Path) -> None:
    upload = UploadId.generate()
    left = tmp_path / "uploads" / upload
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    assert [found async for found in store.abandoned()] == [upload]


async def test_foreign_files_are_left_alone(store: LocalBlobs, tmp_path: Path) -> None:
    (tmp_path / "uploads" / "README").write_text("not ours")
    (tmp_path / "sha256" / "ab" / "README").write_text("not ours")
    os.utime(tmp_path / "uploads" / "README", (0, 0))
    assert [found async for found in store.abandoned()] == []
    assert [found async for found in store.listing("ab")] == []


async def test_a_full_disk_is_no_space(store: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _views: object) -> int:
        raise OSError(28, "No space left on device")

    writer = await store.create(UploadId.generate())
    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(NoSpace):
        await writer.write([b"x"])
    await writer.cancel()


async def test_a_cancel_comes_after_the_step_that_runs(store: LocalBlobs, tmp_path: Path) -> None:
    writer = await store.create(UploadId.generate())
    writing = asyncio.create_task(writer.write([bytes(8 * 1024 * 1024)]))
    await asyncio.sleep(0)
    writing.cancel()
    await writer.cancel()
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_a_blob_gives_a_file_for_sendfile(store: LocalBlobs) -> None:
    blob = await store.open(await stored(store, b"sent"))
    assert blob.file is not None
    assert os.pread(blob.file.fileno(), 10, 0) == b"sent"
    await blob.close()


async def test_many_can_read_at_once(store: LocalBlobs) -> None:
    key = await stored(store, b"shared")
    assert set(await asyncio.gather(*(contents(store, key) for _ in range(50)))) == {b"shared"}


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "sha256/ab/../../x", "sha256/aa/bb.x", "/sha256/ab/x"])
def test_a_key_cannot_leave_the_folder(text: str) -> None:
    with pytest.raises(InvalidRequest):
        BlobKey(text)
