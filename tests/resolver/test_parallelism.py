"""How many parts are fetched at once: the decisions, without a clock and without threads."""

from collections.abc import Callable

import pytest

from resolver.parallelism import START, START_ALONE, WINDOW, Parallelism
from resolver.parts import part_size_for
from resolver.settings import MIB


def after(
    parallelism: Parallelism,
    windows: int,
    *,
    rate: Callable[[int], float],
    busy: float = 0.1,
    since: float = 0.0,
    size: float = 1e6,
) -> list[int]:
    """Return the limit after each window, in a world that brings `rate(limit)` bytes a second in files of `size`."""
    received, computed, now = 0.0, 0.0, since
    parallelism.observe(received=0, files=0, computed=0.0, now=now)
    limits = []
    for _ in range(windows):
        now += WINDOW
        received += rate(parallelism.limit) * WINDOW
        computed += busy * WINDOW
        parallelism.observe(received=int(received), files=int(received / size), computed=computed, now=now)
        limits.append(parallelism.limit)
    return limits


def linear(limit: int) -> float:
    return limit * 1e6


def test_a_far_server_has_all_connections_after_two_windows() -> None:
    assert after(Parallelism(maximum=4 * START), 2, rate=linear) == [2 * START, 4 * START]


def test_a_process_that_computes_takes_smaller_steps() -> None:
    assert after(Parallelism(maximum=64, processors=4), 3, rate=linear, busy=2.0) == [12, 18, 27]


def test_a_process_that_uses_all_processors_hires_nobody() -> None:
    assert after(Parallelism(maximum=16, processors=2), 20, rate=linear, busy=1.9) == [START] * 20


def test_a_step_that_does_not_pay_is_taken_back_and_the_next_try_waits() -> None:
    limits = after(Parallelism(maximum=16), 12, rate=lambda _: 1e6)
    assert limits[0] > limits[1]
    assert set(limits[1:]) == {limits[1]}


def test_what_paid_once_is_tried_again_later() -> None:
    assert max(after(Parallelism(maximum=16), 100, rate=lambda _: 1e6)[2:]) > START


@pytest.mark.parametrize("maximum", [1, 2, 3, 16, 256])
def test_the_limit_stays_between_one_and_the_maximum(maximum: int) -> None:
    parallelism = Parallelism(maximum=maximum)
    limits = after(parallelism, 200, rate=linear)
    for _ in range(20):
        parallelism.push_back()
        limits.append(parallelism.limit)
    assert 1 == min(limits[200:]) <= max(limits) <= maximum


def test_a_server_that_asks_for_patience_is_asked_half_as_much_for_a_while() -> None:
    parallelism = Parallelism(maximum=16)
    after(parallelism, 4, rate=linear)
    parallelism.push_back()
    assert parallelism.limit == 8
    assert after(parallelism, 10, rate=linear, since=100.0) == [8] * 10


def test_small_files_that_wait_for_the_interpreter_have_few_threads() -> None:
    assert after(Parallelism(maximum=16), 2, rate=lambda _: 1e7, busy=1.0, size=10_000) == [START // 2, START_ALONE]


def test_small_files_keep_the_threads_that_bring_more() -> None:
    limits = after(Parallelism(maximum=16), 10, rate=linear, busy=1.0, size=10_000)
    assert limits == [START // 2, *[START] * 9]


def test_threads_that_were_let_go_come_back_when_the_server_gets_slower() -> None:
    parallelism = Parallelism(maximum=16)
    after(parallelism, 2, rate=lambda _: 1e7, busy=1.0, size=10_000)
    assert max(after(parallelism, 30, rate=linear, busy=0.1, size=10_000, since=100.0)) == 16


def test_large_files_that_compute_keep_their_threads() -> None:
    assert min(after(Parallelism(maximum=16), 20, rate=lambda _: 1e9, busy=1.0, size=1e7)) == START


def test_nothing_is_decided_before_a_window_is_over() -> None:
    parallelism = Parallelism(maximum=16)
    for tick in range(10):
        parallelism.observe(received=tick * 10**9, files=tick, computed=0.0, now=tick * WINDOW / 100)
    assert parallelism.limit == START


@pytest.mark.parametrize(
    ("size", "parts"),
    [(8 * MIB, 8 * MIB), (256 * MIB, 8 * MIB), (512 * MIB, 16 * MIB), (1024 * MIB, 32 * MIB), (2**50, 32 * MIB)],
)
def test_parts_of_large_files_are_larger(size: int, parts: int) -> None:
    assert part_size_for(size, smallest=8 * MIB) == parts


def test_one_file_alone_begins_with_few_threads() -> None:
    assert [Parallelism(maximum=16, files=files).limit for files in (0, 1, 4, 8, 2000)] == [2, 2, 4, START, START]
    assert Parallelism(maximum=1, files=1).limit == 1
