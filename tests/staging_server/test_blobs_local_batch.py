"""Batches of blobs in a folder."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.errors import NoSpace
from staging_server.blobs import local_batch
from staging_server.blobs.local import LocalBlobs
from tests.contracts.blob_batches import BlobBatchContract, batch_of, committed


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalBlobs]:
    blobs = LocalBlobs(tmp_path, io_threads=2)
    await blobs.prepare()
    yield blobs
    await blobs.close()


class TestLocalBatches(BlobBatchContract):
    pass


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_all_files_are_flushed_then_all_renamed_then_each_folder_flushed_once(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            return real(*arguments)

        return call

    monkeypatch.setattr(os, "fsync", noted("flush", os.fsync))
    monkeypatch.setattr(Path, "rename", noted("rename", Path.rename))
    monkeypatch.setattr(local_batch, "sync_folder", noted("folder", lambda _folder: None))
    contents = [bytes([number]) for number in range(5)]
    batch = batch_of(*contents)
    writer = await store.create_batch(batch)
    await writer.write(contents)
    await writer.commit()
    folders = {one.key[:9] for one in batch if one.key is not None}
    assert calls == ["flush"] * 5 + ["rename"] * 5 + ["folder"] * len(folders)


@pytest.mark.parametrize("nth", range(6))
async def test_a_disk_that_fails_in_the_middle_of_a_commit_leaves_what_can_be_removed(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    left = nth

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        return call

    batch = batch_of(b"one", b"two")
    writer = await store.create_batch(batch)
    await writer.write([b"onetwo"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(Path, "rename", failing(Path.rename))
        with pytest.raises(NoSpace):
            await writer.commit()
    await writer.cancel()
    for one in batch:
        assert one.key is not None
        await store.remove(one.key)
    assert not _files(tmp_path)
    assert not await committed(store, batch)
