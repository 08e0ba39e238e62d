"""One descriptor for all who read the same bytes, and none that stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from staging_protocol.errors import NotFound
from staging_server.blobs import open_files
from staging_server.blobs.local import LocalBlobs
from tests.contracts.blob_store import stored
from tests.staging_server.live import eventually


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalBlobs]:
    blobs = LocalBlobs(tmp_path, io_threads=2)
    await blobs.prepare()
    yield blobs
    await blobs.close()
    await eventually(lambda: _descriptors(tmp_path) == 0)


def _descriptors(folder: Path) -> int:
    """Return how many files below `folder` this process has open."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += str(link.readlink()).startswith(str(folder / "sha256"))
        except FileNotFoundError:
            continue
    return count


async def test_all_readers_of_one_blob_share_a_descriptor(store: LocalBlobs, tmp_path: Path) -> None:
    key = await stored(store, b"shared")
    blobs = await asyncio.gather(*(store.open(key) for _ in range(50)))
    assert _descriptors(tmp_path) == 1
    await asyncio.gather(*(blob.close() for blob in blobs[1:]))
    assert await blobs[0].read(0, size=10) == b"shared"
    await blobs[0].close()


async def test_an_unused_file_is_closed_a_moment_later(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_files, "_MOMENT", 0.01)
    key = await stored(store, b"x")
    blob = await store.open(key)
    await (await store.open(key)).close()
    await blob.close()
    await blob.close()
    await eventually(lambda: _descriptors(tmp_path) == 0)


async def test_bytes_that_are_removed_can_be_read_on_and_not_opened_again(store: LocalBlobs, tmp_path: Path) -> None:
    key = await stored(store, b"removed")
    blob = await store.open(key)
    await store.remove(key)
    with pytest.raises(NotFound):
        await store.open(key)
    assert await blob.read(0, size=10) == b"removed"
    await blob.close()
    assert _descriptors(tmp_path) == 0


async def test_the_space_of_unused_bytes_is_free_once_they_are_removed(store: LocalBlobs, tmp_path: Path) -> None:
    key = await stored(store, b"removed")
    await (await store.open(key)).close()
    await store.remove(key)
    assert _descriptors(tmp_path) == 0


async def test_no_more_unused_files_stay_open_than_allowed(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_files, "_MOST", 2)
    for number in range(5):
        await (await store.open(await stored(store, str(number).encode()))).close()
    assert _descriptors(tmp_path) <= 2


async def test_what_cannot_be_opened_is_tried_again(store: LocalBlobs, tmp_path: Path) -> None:
    key = await stored(store, b"late")
    (tmp_path / key).rename(tmp_path / "away")
    for outcome in await asyncio.gather(*(store.open(key) for _ in range(3)), return_exceptions=True):
        assert isinstance(outcome, NotFound)
    (tmp_path / "away").rename(tmp_path / key)
    await (await store.open(key)).close()


async def test_a_file_whose_reader_goes_away_while_it_opens_is_closed(store: LocalBlobs) -> None:
    key = await stored(store, b"x")
    opening = asyncio.create_task(store.open(key))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
