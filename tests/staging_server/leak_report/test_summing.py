"""Sums, ages, costs and equal content are those of the files that are there."""

import json
import os
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_server.leak_report.equal_content import EqualContent, Sizes
from staging_server.leak_report.judging import NOT_ASKED, Jobs, Leftover, Namer, State, state_of
from staging_server.leak_report.making import make_report
from staging_server.leak_report.places import open_store
from staging_server.leak_report.summing import AGES, Rules
from tests.staging_server.leak_report.asking import report, run
from tests.staging_server.leak_report.conftest import Uploads

_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_NAMES = st.text("abc\n\x1b'\\ é", min_size=1, max_size=4)
_TREES = st.lists(
    st.tuples(
        st.dictionaries(_NAMES, st.binary(max_size=3), max_size=4),
        st.sampled_from([-1, 0.5, 1, 6.9, 7, 29, 89, 364, 400, 20_000]),
        st.sampled_from(["", "2026/10"]),
    ),
    max_size=6,
)


@given(_TREES, st.sampled_from([None, 7, 365]), st.sampled_from([None, 0.023]))
def test_the_report_says_what_is_there(
    trees: list[tuple[dict[str, bytes], float, str]], older_than: int | None, price: float | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uploads = Uploads(Path(folder) / "root", now=_NOW)
        live = set()
        for number, (files, days, at) in enumerate(trees):
            name = uploads.add(files, days=days, at=at)
            if number % 3 == 0:
                live.add(name)
        namer = Namer(job="driver pod a/b", application="etl", live=True)
        rules = Rules(
            jobs=Jobs(names=dict.fromkeys(live, namer)), now=_NOW, price=price,
            older_than=None if older_than is None else timedelta(days=older_than),
        )  # fmt: skip
        with open_store(str(uploads.root)) as store:
            made = make_report(store, rules, delete="rm", was_read=lambda _size: None)

    counting = [
        (number, files, days)
        for number, (files, days, _) in enumerate(trees)
        if older_than is None or days >= older_than
    ]
    contents = [content for _, files, _ in counting for content in files.values()]
    size = sum(map(len, contents))
    assert (made.total.folders, made.total.files, made.total.bytes) == (len(counting), len(contents), size)
    by_state = Counter(
        State.IN_USE if number % 3 == 0 else State.UNNAMED if days >= 1 else State.NOT_KNOWN
        for number, _, days in counting
    )
    assert {state: amount.folders for state, amount in made.states.items()} == {s: by_state[s] for s in State}
    by_age = Counter(next(name for name, end in AGES if timedelta(days=days) < end) for _, _, days in counting)
    assert {age.age: age.amount.folders for age in made.ages} == {name: by_age[name] for name, _ in AGES}
    assert sum(amount.bytes for amount in made.states.values()) == size == sum(age.amount.bytes for age in made.ages)
    copies = Counter(filter(None, contents))
    assert made.equal is not None
    assert (made.equal.files, made.equal.bytes) == (
        sum(copies.values()) - len(copies), sum(map(len, copies.elements())) - sum(map(len, copies)),
    )  # fmt: skip
    assert [one.bytes for one in made.largest] == sorted(
        (sum(map(len, files.values())) for _, files, _ in counting), reverse=True
    )
    assert made.delete == ("rm" if by_state[State.UNNAMED] else None)
    if price is None:
        assert made.total.per_month is made.total.until_now is None
    else:
        until_now = sum(max(days, 0) * sum(map(len, files.values())) for _, files, days in counting) * 24 / 730
        assert made.total.per_month == pytest.approx(size / 1024**3 * price)
        assert made.total.until_now == pytest.approx(until_now / 1024**3 * price)


def test_only_the_twenty_largest_are_told(uploads: Uploads) -> None:
    for size in range(30):
        uploads.add({"app.jar": b"x" * size})

    assert [one["bytes"] for one in report(uploads.root)["largest"]] == list(range(29, 9, -1))


def test_without_kubernetes_nothing_is_known(uploads: Uploads) -> None:
    uploads.add({"app.jar": b"x"}, days=1000)

    found = report(uploads.root)

    assert found["largest"][0]["state"] == "not known"
    assert found["jobs"] == {"asked": False, "namespaces": [], "live": 0, "finished": 0, "problems": []}
    assert "live jobs: not asked" in run(uploads.root).stdout


def test_files_are_compared_only_when_several_have_their_size(uploads: Uploads) -> None:
    uploads.add({"a.jar": b"x" * 10, "b.jar": b"y" * 11, "empty": b"", "none": b""})
    uploads.add({"a.jar": b"x" * 10, "c.jar": b"z" * 10})

    assert report(uploads.root)["equal"] == {"files": 1, "bytes": 10, "read": 30, "at_least": False}
    assert report(uploads.root, "--no-compare")["equal"] is None


def test_beyond_what_is_remembered_equal_content_is_a_lower_bound() -> None:
    sizes = Sizes(most=2)
    for size in (1, 2, 3, 3, 1):
        sizes.note(size)
    assert [size in sizes for size in (1, 2, 3)] == [True, False, False]
    assert not sizes.whole

    found = EqualContent(Sizes(most=1))
    for digest in (b"a", b"b", b"b", b"a"):
        found.note(digest, size=5)
    assert (found.files, found.size, found.whole) == (1, 5, False)


@pytest.mark.parametrize(
    ("jobs", "days", "whole", "state"),
    [
        (Jobs(), 30, True, State.UNNAMED),
        (Jobs(), 0.99, True, State.NOT_KNOWN),
        (Jobs(), -1, True, State.NOT_KNOWN),
        (Jobs(), 30, False, State.NOT_KNOWN),
        (Jobs(problems=("x",)), 30, True, State.NOT_KNOWN),
        (NOT_ASKED, 30, True, State.NOT_KNOWN),
        (Jobs(names={"name": Namer(job="j", application="a", live=False)}), 30, True, State.UNNAMED),
        (Jobs(names={"name": Namer(job="j", application="a", live=True)}, problems=("x",)), 0, False, State.IN_USE),
    ],
)
def test_only_what_is_clear_is_said_to_be_unnamed(jobs: Jobs, days: float, *, whole: bool, state: State) -> None:
    moment = _NOW - timedelta(days=days)
    leftover = Leftover(
        path="name", name="name", size=1, files=1, oldest=moment, newest=moment, largest="a", whole=whole
    )

    assert state_of(leftover, jobs=jobs, now=_NOW) is state


def test_an_age_is_a_duration_as_people_write_it(uploads: Uploads) -> None:
    old, young = uploads.add({"a": b"x"}, days=8), uploads.add({"a": b"x"}, days=6)

    for text, names in (("7d", {old}), ("1w", {old}), ("168h", {old}), ("30m", {old, young}), ("9d", set())):
        found = report(uploads.root, "--older-than", text)
        assert {one["path"].rpartition("/")[2] for one in found["largest"]} == names
    for text in ("7", "d", "-1d", "7y", "999999w", "\u0667d"):
        done = run(uploads.root, "--older-than", text)
        assert done.exit_code == 2
        assert "is no duration such as" in done.stderr


def test_times_that_cannot_be_are_no_failure(uploads: Uploads) -> None:
    name = uploads.add({"a": b"x"})
    for moment in (-(2**40), 2**33):
        os.utime(uploads.root / name / "a", (moment, moment))
        json.dumps(report(uploads.root, "--price", 1))
        assert run(uploads.root).exit_code == 0
