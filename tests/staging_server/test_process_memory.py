"""Memory that no longer serves anybody is given back, or used again, without being collected."""

import gc
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from staging_server.exchange import Exchange
from tests.staging_server.live import Live, live_server

ARENAS_OF_TWELVE_THREADS = """
import ctypes, sys, threading
from staging_server.process_memory import share_arenas
if sys.argv[2] == "shared":
    share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(12)
def allocate():
    together.wait()
    libc.malloc(ctypes.c_size_t(100_000))
    together.wait()  # an arena of a thread that has ended would serve the next one
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@contextmanager
def no_collections() -> Iterator[None]:
    """Leave all to reference counting."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def exchanges() -> int:
    return sum(type(each) is Exchange for each in gc.get_objects())


def arenas(how: str, *, file: Path) -> int:
    subprocess.run([sys.executable, "-c", ARENAS_OF_TWELVE_THREADS, str(file), how], check=True)
    return file.read_text().count("<heap nr=")


async def every_kind_of_answer(live: Live) -> None:
    made = await live.staged(b"content")
    bundle = f"/v1/namespaces/team-a/bundles/{made['id']}"
    for path, status in ((f"{bundle}/files/jar/a.jar", 200), (f"{bundle}/files/jar/b.jar", 404), ("/nowhere", 404)):
        assert (await live.call("GET", path)).status == status


async def test_requests_are_freed_when_they_are_answered(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        with no_collections():
            for _ in range(5):
                await every_kind_of_answer(live)
            assert exchanges() <= 1  # aiohttp may hold the last one of a connection until the next


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_threads_share_two_arenas(tmp_path: Path) -> None:
    assert arenas("of their own", file=tmp_path / "own") > 2
    assert arenas("shared", file=tmp_path / "shared") == 2
