"""What is told of executors: little, however many there are."""

import tracemalloc
from typing import Any

import pytest

from submission.jobs.executors import Executors
from tests.submission.jobs.pods import ended, executor, pod, statuses, waiting

RUNNING = {"phase": "Running"}
LOST = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}


class Told(Executors):
    """Executors, and what was said of them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)

    def are(self, numbers: range, status: dict[str, Any], **metadata: Any) -> None:
        for number in numbers:
            self.see(executor(number, status=status, **metadata))


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_thousand_executors_are_told_in_few_lines(told: Told) -> None:
    told.are(range(1000), {})
    told.are(range(1000), RUNNING)
    assert told.lines[0] == "1 executor running, 999 not yet"
    assert told.lines[-1] == "1000 executors running"
    assert len(told.lines) < 15


def test_executors_that_the_driver_ends_are_no_news(told: Told) -> None:
    told.are(range(3), RUNNING)
    before = list(told.lines)
    told.are(range(2), statuses(phase="Failed", spark=ended(143)), deletionTimestamp="2026-03-01T11:00:00Z")
    told.are(range(2, 3), {"phase": "Succeeded"})
    told.forget(executor(2))
    assert told.lines == before


def test_an_executor_that_fails_is_told_with_what_is_left_and_its_successor_too(told: Told) -> None:
    told.are(range(2), RUNNING)
    told.lines.clear()
    told.are(range(1), statuses(phase="Failed", spark=ended(137, reason="OOMKilled")))
    told.are(range(2, 3), RUNNING)
    killed = "its container was killed because it used more memory than its limit (OOMKilled)"
    assert told.lines == [
        f"executor nightly-exec-0 failed: {killed}",
        "1 executor running",
        "2 executors running",
    ]


def test_executors_that_fail_for_ever_are_told_ever_more_seldom(told: Told) -> None:
    for number in range(300):
        told.are(range(number, number + 1), RUNNING)
        told.are(range(number, number + 1), LOST)
    assert sum("failed: Evicted" in line for line in told.lines) == 5
    assert told.lines[-1] == "256 executors have failed so far"
    assert len(told.lines) < 30


def test_one_executor_speaks_for_all_that_wait_for_the_same(told: Told) -> None:
    told.are(range(50), statuses(init=waiting("ErrImagePull", "manifest unknown")))
    (line,) = told.lines
    assert line.startswith("executor nightly-exec-0 cannot pull init for its init container")


def test_nothing_of_a_failure_is_told_that_was_there_before_anybody_looked(told: Told) -> None:
    told.are(range(4), LOST)
    assert told.lines == []


def test_those_that_a_new_list_does_not_have_are_forgotten(told: Told) -> None:
    told.are(range(4), RUNNING)
    told.keep({"nightly-exec-0"})
    told.lines.clear()
    told.are(range(1, 2), RUNNING)
    assert told.lines == ["2 executors running"]


def test_other_pods_of_the_application_are_none(told: Told) -> None:
    told.see(pod(status=RUNNING))
    assert told.lines == []


def test_executors_that_come_and_go_leave_nothing_in_memory(told: Told) -> None:
    def generation(first: int) -> None:
        numbers = range(first, first + 500)
        told.are(numbers, RUNNING)
        told.are(numbers, LOST)

    generation(0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        generation(500)
        generation(1000)
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()
