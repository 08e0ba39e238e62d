"""Lanes: in order, beside one another, and never in the way of others."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from staging_server.blobs.lanes import Lane


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def test_the_work_of_a_lane_is_done_in_order_one_at_a_time(threads: ThreadPoolExecutor) -> None:
    lane = Lane(threads)
    done: list[int] = []
    await asyncio.gather(*(lane.submit(partial(done.append, number)) for number in range(200)))
    assert done == list(range(200))


async def test_an_error_is_raised_where_it_is_awaited_and_the_lane_goes_on(threads: ThreadPoolExecutor) -> None:
    def fail() -> None:
        raise OSError("broken")

    lane = Lane(threads)
    failing, following = lane.submit(fail), lane.submit(lambda: 7)
    with pytest.raises(OSError, match="broken"):
        await failing
    assert await following == 7


async def test_a_busy_lane_lets_others_have_a_turn() -> None:
    with ThreadPoolExecutor(1) as one:
        begun, go_on = threading.Event(), threading.Event()
        done: list[str] = []
        busy, other = Lane(one), Lane(one)

        def first() -> None:
            begun.set()
            go_on.wait(10)

        work = [busy.submit(first), *(busy.submit(partial(done.append, "busy")) for _ in range(3))]
        await asyncio.to_thread(begun.wait, 10)
        work.append(other.submit(partial(done.append, "other")))
        go_on.set()
        await asyncio.gather(*work)
    assert done[0] == "other"


async def test_work_that_nobody_waits_for_any_more_is_left_out_before_it_begins(threads: ThreadPoolExecutor) -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []
    lane = Lane(threads)

    def first() -> None:
        begun.set()
        go_on.wait(10)

    running, dropped = lane.submit(first), lane.submit(partial(done.append, "dropped"))
    await asyncio.to_thread(begun.wait, 10)
    dropped.cancel()
    go_on.set()
    await running
    await lane.submit(partial(done.append, "last"))
    assert done == ["last"]
