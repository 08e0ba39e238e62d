"""200 uploads and 1,000 reads at once against one process: the short form of `python -m benchmarks.load`."""

from pathlib import Path
from statistics import median

import pytest

from benchmarks.load.judge import MOST_MEMORY
from benchmarks.load.plan import HUNDRED, ONE, Plan, demands
from benchmarks.load.run import Result, run
from benchmarks.scenario import KIB

PLACES = 4
SIZES = ((4 * KIB, 0.4), (100 * KIB, 0.5), (600 * KIB, 0.1))

# Slow uploads and few places, so that uploads wait for a place; reads come in waves, so that uploads get on.
SETTINGS = {
    "LIMITS__UPLOADS_IN_FLIGHT": str(PLACES),
    "LIMITS__UPLOADS_PER_NAMESPACE": str(PLACES),
    "RETENTION__BLOB_KEEP": "0.5",
    "RETENTION__BLOB_GRACE": "0",
    "RETENTION__SWEEP_EVERY": "1",
}
PLAN = Plan(
    demands=demands(uploaders=200, readers=1000), sizes=SIZES, seconds=18, fresh=3600, wave=4, pieces=3, pause=0.03
)  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("load")
    return run(PLAN, folder=folder, settings=SETTINGS, seed=1, say=lambda _line: None)


def test_there_are_200_uploads_and_1000_reads_at_once() -> None:
    assert (PLAN.uploaders, PLAN.readers) == (200, 1000)


def test_under_load_nothing_is_answered_wrongly_or_breaks_off(result: Result) -> None:
    assert result.summary.failures == {}, result.summary.samples


def test_under_load_every_kind_of_request_is_answered(result: Result) -> None:
    answers = result.summary.answers
    for what in ("create 201", "PUT 201", "PATCH 201", "seal 200", "delete 204", "GET 200", "GET range 206",
                 "GET slowly 206", "HEAD 200", "manifest 200"):  # fmt: skip
        assert answers.get(what, 0) > 0, f"no {what} among {answers}"


def test_what_is_read_under_load_has_its_digest(result: Result) -> None:
    assert result.summary.verified > 0  # a wrong one is a failure, see above


def test_under_load_every_namespace_is_served(result: Result) -> None:
    assert set(result.summary.shares) == {demand.namespace for demand in PLAN.demands}
    assert all(share.uploads and share.reads for share in result.summary.shares.values())


def test_a_namespace_with_one_upload_waits_for_few_others(result: Result) -> None:
    """Places go round among the namespaces; in one common queue it would come after all that wait."""
    few = len(PLAN.demands) + 2 * PLACES
    shares = result.summary.shares
    assert max(shares[HUNDRED].overtaken) > 2 * few, "there was no queue worth speaking of"
    assert median(shares[ONE].overtaken) <= few


def test_after_the_load_nothing_is_left_over(result: Result) -> None:
    assert result.left_over == []


def test_the_memory_of_1200_clients_is_bounded(result: Result) -> None:
    assert result.memory.highest <= MOST_MEMORY
