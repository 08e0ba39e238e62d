"""Blobs in a folder."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NoSpace
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey
from staging_server.blobs.local import LocalBlobs
from tests.contracts.blob_store import BlobStoreContract, contents, stored


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalBlobs]:
    blobs = LocalBlobs(tmp_path, io_threads=2, flush_every=1)
    await blobs.prepare()
    yield blobs
    await blobs.close()


class TestLocalBlobs(BlobStoreContract):
    pass


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
    assert calls == [f"fsync /uploads/{upload}", f"rename /{key}", f"fsync /sha256/{key[7:9]}", "fsync /uploads"]


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
