"""How checks are run: in the order of their needs, each in its time, and none hides another."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from docs.doctor_page import doctor_page
from docs.generate import PAGES
from staging_protocol.errors import NotFound
from submission.doctor import clocks, reaching
from submission.doctor.check_table import CHECKS
from submission.doctor.checks import Check, Look
from submission.doctor.findings import Finding, Status, fail, ok, unknown, warn
from submission.doctor.given import Wanted
from submission.doctor.namespace import quantity
from submission.doctor.running import examine
from submission.doctor.setup import Setup
from tests.staging_server.certificates import trusting, write_pair
from tests.submission.doctor.fronts import with_certificate


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Setup:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Setup(Wanted(flags={}, seconds=5), stack=ExitStack())


def check(name: str, look: Look | Finding, *needs: str) -> Check:
    def found(setup: Setup) -> Finding:
        return look if isinstance(look, Finding) else look(setup)

    return Check(name=name, asks="Is it?", look=found, fix=f"mend {name}", needs=needs)


def test_what_needs_a_failed_check_is_skipped_and_names_the_first_failure(setup: Setup) -> None:
    checks = [
        check("a", fail("broken")), check("b", ok("fine"), "a"), check("c", ok("fine"), "b"), check("d", ok("fine")),
    ]  # fmt: skip

    results = examine(checks, setup, seconds=5)

    assert [(one.check.name, one.finding.status, one.finding.found) for one in results] == [
        ("a", Status.FAIL, "broken"),
        ("b", Status.SKIPPED, "because of: a"),
        ("c", Status.SKIPPED, "because of: a"),
        ("d", Status.OK, "fine"),
    ]
    assert [one.fix for one in results] == ["mend a", None, None, None]


def test_doubts_stop_nobody(setup: Setup) -> None:
    checks = [check("a", warn("hm")), check("b", unknown("who knows"), "a"), check("c", ok("fine"), "b")]

    assert [one.finding.status for one in examine(checks, setup, seconds=5)] == ["warn", "unknown", "ok"]


def test_a_failure_that_another_one_explains_is_not_told_twice(setup: Setup) -> None:
    checks = [check("a", fail("broken", because=("c",))), check("b", ok("fine"), "a"), check("c", fail("the cause"))]

    results = examine(checks, setup, seconds=5)

    assert [one.finding.found for one in results] == ["because of: c", "because of: c", "the cause"]


def test_an_error_of_ours_is_a_failure(setup: Setup) -> None:
    def look(_setup: Setup) -> Finding:
        raise NotFound("it is not there")

    (result,) = examine([check("a", look)], setup, seconds=5)

    assert (result.finding.status, result.finding.found, result.fix) == (Status.FAIL, "it is not there", "mend a")


def test_a_bug_is_not_taken_for_a_finding(setup: Setup) -> None:
    def look(_setup: Setup) -> Finding:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        examine([check("a", look)], setup, seconds=5)


def test_checks_that_do_not_need_one_another_look_at_the_same_time(setup: Setup) -> None:
    both = threading.Barrier(2)

    def look(_setup: Setup) -> Finding:
        both.wait(timeout=30)
        return ok("met")

    assert [one.finding.found for one in examine([check("a", look), check("b", look)], setup, seconds=60)] == [
        "met"
    ] * 2


def test_a_check_that_hangs_is_given_up_and_the_others_are_told(setup: Setup) -> None:
    over = threading.Event()

    def hang(_setup: Setup) -> Finding:
        over.wait(timeout=30)
        return ok("too late")

    hung, other = examine([check("a", hang), check("b", ok("fine"))], setup, seconds=0.1)
    over.set()

    assert hung.finding.status is Status.FAIL
    assert hung.finding.found == "no answer within 0.1 seconds"
    assert "--timeout" in (hung.fix or "")
    assert other.finding.status is Status.OK


def test_every_check_comes_after_those_that_it_needs() -> None:
    names = [one.name for one in CHECKS]

    assert len(set(names)) == len(names)
    for number, one in enumerate(CHECKS):
        assert set(one.needs) <= set(names[:number]), one.name


def test_the_page_has_every_check() -> None:
    assert PAGES["doctor.md"] is doctor_page
    rows = [line for line in doctor_page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(CHECKS)
    assert all(one.asks.endswith("?") and one.fix for one in CHECKS)


def test_a_certificate_that_ends_soon_is_told_in_time(tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = tmp_path / "tls.crt", tmp_path / "tls.key"
    write_pair(*pair, authority=authority, lasts=timedelta(days=3))

    with with_certificate(*pair) as url:
        found = reaching.shake_hands(
            reaching.Target(
                words="the staging server",
                url=urlsplit(url),
                named_by="SPARK_STAGING_URL",
                proxy=None,
                context=partial(trusting, authority),
                trust="trust it",
            ),
            seconds=30,
        )

    assert found.status is Status.WARN
    assert "ends soon" in found.found


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, "ok"), (29, "ok"), (-31, "warn"), (299, "warn"), (300, "fail"), (-7200, "fail")]
)
def test_clocks_may_differ_a_little(ahead: float, status: str) -> None:
    now = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC) + timedelta(seconds=ahead)

    assert clocks.judged("Sun, 22 Nov 2026 12:00:00 GMT", now=now, words="the server").status == status


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_without_a_clock_is_no_failure(date: str | None) -> None:
    assert clocks.judged(date, now=datetime.now(UTC), words="the server").status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("500m", 0.5), ("1Gi", 2.0**30), ("1.5G", 1.5e9), ("1e3", 1000), ("2Ki", 2048), ("much", 0)],
)
def test_quantities_are_read_as_kubernetes_means_them(text: str, number: float) -> None:
    assert quantity(text) == number
