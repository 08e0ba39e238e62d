"""Calls at the same time: in order, bounded, and ended by the first failure."""

import threading

import pytest

from submission.parallel import each


def test_results_are_in_the_order_of_the_items() -> None:
    assert each(range(20), lambda item: item * item, at_once=4, stop=threading.Event()) == [n * n for n in range(20)]


def test_so_many_run_at_once_and_no_more() -> None:
    together = threading.Barrier(4)
    lock = threading.Lock()
    running, most = 0, 0

    def call(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=30)
        with lock:
            running -= 1

    each(range(12), call, at_once=4, stop=threading.Event())

    assert most == 4


def test_the_first_failure_is_raised_and_nothing_new_begins() -> None:
    stop = threading.Event()
    begun: list[int] = []

    def call(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise ValueError("first")
        stop.wait(timeout=30)

    with pytest.raises(ValueError, match="first"):
        each(range(100), call, at_once=2, stop=stop)

    assert stop.is_set()
    assert len(begun) <= 3


def test_nothing_to_do_is_done() -> None:
    assert each([], str, at_once=4, stop=threading.Event()) == []
