"""Whatever the way to the pod does to the bytes: after success the folder is the manifest, else nothing wrong shows.

`pytest tests/end_to_end/test_faults_down.py --hypothesis-profile=long` tries for minutes.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from resolver.settings import ResolveSettings
from staging_protocol.errors import ExitCode
from tests.end_to_end.faulted import (
    HASTY,
    PATIENT,
    RECORDS,
    SHORT,
    SMALL_PARTS,
    Faulted,
    Plan,
    faulted,
    make_job,
    records_of,
    tree_of,
)
from tests.services.fault_plans import passing, rules, spoiling, stalling
from tests.services.faults import Corrupt, Place, Rule, Way, Zone

SIZES = (0, 1, 5000, 16_384, 70_000)
"""Bytes of the jars: nothing, one byte, one piece, exactly one part, several parts."""

PATHS = ("", "/manifest", "/files/", "0.jar", "1.jar", "2.jar", "3.jar", "4.jar", "gr", "m.zip", "env")
METHODS = ("GET",)
EXAMPLES = settings.default.max_examples if settings.default is not None else 100


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulted]:
    with faulted(tmp_path_factory.mktemp("server"), make_job(SIZES)) as running:
        yield running


def plans(*faults: st.SearchStrategy[Rule], most: int) -> st.SearchStrategy[Plan]:
    return st.lists(st.one_of(*faults), min_size=1, max_size=most)


def attempt(
    down: Faulted, plan: Plan, *, allowed: set[ExitCode], hasty: bool = False, settings: ResolveSettings = SMALL_PARTS
) -> ExitCode:
    """Resolve through the plan's faults and check everything that always holds; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        down.proxy.plan(*plan)
        error = down.resolve(folder, http=HASTY if hasty else PATIENT, settings=settings)
        note(f"error: {error!r}; struck: {[one for one in down.proxy.exchanges if one.struck]}")
        if error is None:
            assert tree_of(folder) == down.job.expected
            assert records_of(folder) == {RECORDS}
        else:
            assert error.exit_code in allowed
            assert down.strange(folder) == {}
        down.proxy.plan()
        assert down.resolve_again(folder) is None, "a second run did not mend it"
        assert tree_of(folder) == down.job.expected
        return ExitCode.DONE if error is None else error.exit_code


@given(plan=plans(rules(passing(size=70_000), paths=PATHS), most=3))
@settings(max_examples=EXAMPLES // 2)
def test_passing_faults_are_survived(down: Faulted, plan: Plan) -> None:
    assert attempt(down, plan, allowed=set()) is ExitCode.DONE


@given(plan=plans(rules(passing(size=70_000), paths=PATHS, ever=True), most=4))
@settings(max_examples=EXAMPLES // 4)
def test_faults_that_do_not_pass_end_as_unavailable_with_nothing_wrong_in_sight(down: Faulted, plan: Plan) -> None:
    attempt(down, plan, allowed={ExitCode.UNAVAILABLE, ExitCode.DEADLINE}, settings=SHORT)


@given(
    plan=plans(
        rules(spoiling(size=70_000, ways=[Way.DOWN]), paths=PATHS, most_times=1),
        rules(passing(size=70_000), paths=PATHS, most_times=1),
        most=3,
    )
)
@settings(max_examples=EXAMPLES)
def test_changed_bytes_are_never_seen(down: Faulted, plan: Plan) -> None:
    attempt(down, plan, allowed={ExitCode.UNAVAILABLE, ExitCode.DIGEST_MISMATCH})


@given(place=st.integers(0, 69_999), path=st.sampled_from(["2.jar", "4.jar", "env", "/manifest"]))
@settings(max_examples=EXAMPLES // 4)
def test_one_flipped_bit_is_mended(down: Faulted, place: int, path: str) -> None:
    at = place % {"2.jar": 5000, "4.jar": 16_384, "env": 16_384, "/manifest": 1000}[path]
    plan = [Rule(fault=Corrupt(Place(at=at), bit=place % 8), path=path)]
    assert attempt(down, plan, allowed=set()) is ExitCode.DONE


@given(path=st.sampled_from(["2.jar", "4.jar", "env"]), at=st.integers(0, 4999))
@settings(max_examples=EXAMPLES // 10)
def test_a_file_that_is_always_spoilt_is_a_digest_mismatch(down: Faulted, path: str, at: int) -> None:
    plan = [Rule(fault=Corrupt(Place(at=at)), path=path, times=1000)]
    assert attempt(down, plan, allowed={ExitCode.DIGEST_MISMATCH}) is ExitCode.DIGEST_MISMATCH


@given(
    plan=plans(rules(spoiling(size=1, zones=[Zone.HEAD]), paths=PATHS, most_times=3, ever=True), most=2),
)
@settings(max_examples=EXAMPLES // 2)
def test_changed_heads_do_no_harm_to_files(down: Faulted, plan: Plan) -> None:
    allowed = set(ExitCode) - {ExitCode.DONE, ExitCode.TERMINATED, ExitCode.BAD_ARCHIVE}
    attempt(down, plan, allowed=allowed, hasty=True, settings=SHORT)


@given(plan=plans(rules(stalling(size=70_000), paths=PATHS), most=2))
@settings(max_examples=EXAMPLES // 10)
def test_stalls_are_survived(down: Faulted, plan: Plan) -> None:
    attempt(down, plan, allowed={ExitCode.UNAVAILABLE}, hasty=True)
