"""What is not in memory is read by a thread before `sendfile` would wait for it."""

import os
from pathlib import Path

import pytest

from staging_server.sending import page_cache


async def test_a_cold_stretch_is_read_by_a_thread_and_a_warm_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []
    real_preadv, real_read = os.preadv, page_cache._read_through

    def cold(descriptor: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        if flags == os.RWF_NOWAIT and not read:
            raise BlockingIOError
        return real_preadv(descriptor, buffers, offset, flags)

    def noted(descriptor: int, start: int, stop: int) -> None:
        read.append((start, stop))
        real_read(descriptor, start, stop)

    monkeypatch.setattr(os, "preadv", cold)
    monkeypatch.setattr(page_cache, "_read_through", noted)
    (tmp_path / "blob").write_bytes(bytes(3_000_000))
    with (tmp_path / "blob").open("rb", buffering=0) as file:
        await page_cache.warm(file, 10, 2_500_000)
        await page_cache.warm(file, 10, 2_500_000)
    assert read == [(10, 2_500_000)]


def test_what_is_in_memory_is_read_at_once_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cold(*_arguments: object) -> int:
        raise BlockingIOError

    (tmp_path / "blob").write_bytes(b"0123456789")
    with (tmp_path / "blob").open("rb", buffering=0) as file:
        assert page_cache.read_if_warm(file, 2, size=5) == bytearray(b"23456")
        assert page_cache.read_if_warm(file, 8, size=5) is None
        monkeypatch.setattr(os, "preadv", cold)
        assert page_cache.read_if_warm(file, 2, size=5) is None
