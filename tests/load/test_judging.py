"""How a load run is judged, and how it is drawn."""

import xml.etree.ElementTree as ET

import msgspec
import pytest

from benchmarks.load.judge import MOST_MEMORY, fairness, faults
from benchmarks.load.memory import Memory, jain
from benchmarks.load.picture import memory_plot
from benchmarks.load.plan import HUNDRED, ONE, SMALL, Plan, demands
from benchmarks.load.plot import Plot
from benchmarks.load.run import Result
from benchmarks.load.tally import Share, Summary, Tally
from benchmarks.load.wire import Head

PLAN = Plan(demands=demands(uploaders=20, readers=40), sizes=SMALL, seconds=60, fresh=15)
FLAT = Memory(seconds=[float(n) for n in range(120)], mib=[100.0] * 120)
SVG = "{http://www.w3.org/2000/svg}"
SERVED = Share(uploads=10, reads=10, kept_reads=4, waits=[1.0], overtaken=[1])


def a_result(**changes: object) -> Result:
    summary = Summary(
        seconds=60, answers={}, failures={}, samples=[], verified=1,
        shares={demand.namespace: SERVED for demand in PLAN.demands},
    )  # fmt: skip
    whole = Result(plan=PLAN, summary=summary, memory=FLAT, cpu=1, left_over=[])
    return msgspec.structs.replace(whole, **changes)


def texts_of(root: ET.Element) -> set[str]:
    return {text.text or "" for text in root.iter(f"{SVG}text")}


def test_all_clients_of_a_plan_are_shared_out() -> None:
    for uploaders, readers in ((200, 1000), (20, 40), (37, 101)):
        shared = demands(uploaders=uploaders, readers=readers)
        assert sum(demand.uploaders for demand in shared) == uploaders
        assert sum(demand.readers for demand in shared) == readers


def test_equal_shares_are_fair_and_one_for_all_is_not() -> None:
    assert jain([5, 5, 5, 5]) == 1
    assert jain([20, 0, 0, 0]) == 0.25
    assert jain([]) == 0


def test_growth_is_that_of_the_second_half() -> None:
    warming_up = Memory(seconds=[0, 1, 2, 3, 4, 5, 6, 7], mib=[0, 50, 100, 150, 200, 200, 200, 200])
    assert warming_up.growth == pytest.approx(0)
    leaking = Memory(seconds=[float(n) for n in range(10)], mib=[100 + n / 60 for n in range(10)])
    assert leaking.growth == pytest.approx(1)


def test_a_good_run_has_no_faults() -> None:
    assert faults(a_result()) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"memory": Memory(seconds=[float(n) for n in range(120)], mib=[float(n) for n in range(120)])}, "grows"),
        ({"memory": Memory(seconds=[0, 1, 2, 3], mib=[MOST_MEMORY + 1] * 4)}, "up to"),
        ({"left_over": ["sha256/ab/abc.x"]}, "left over"),
    ],
)
def test_what_must_not_be_is_a_fault(changes: dict[str, object], word: str) -> None:
    (fault,) = faults(a_result(**changes))
    assert word in fault


def test_a_namespace_that_got_nothing_is_a_fault() -> None:
    whole = a_result()
    shares = {**whole.summary.shares, ONE: Share()}
    assert faults(a_result(summary=msgspec.structs.replace(whole.summary, shares=shares))) == [
        "nobody of one was served"
    ]


def test_fairness_is_by_client() -> None:
    found = fairness(a_result())
    hundred = next(demand for demand in PLAN.demands if demand.namespace == HUNDRED)
    assert found.up == pytest.approx(hundred.uploaders)  # ten uploads of one client, ten of all of these
    assert found.jain_up == 1


def test_a_refusal_that_says_when_to_come_again_is_no_failure() -> None:
    tally = Tally()
    assert not tally.answered("PUT", Head(429, {"retry-after": "5"}), good=frozenset({201}))
    assert not tally.answered("PUT", Head(503, {"retry-after": "5"}), good=frozenset({201}))
    assert tally.summary(seconds=1).failures == {}
    assert tally.line()["asked to come again"] == 2


@pytest.mark.parametrize(("status", "fields"), [(429, {}), (500, {"retry-after": "5"}), (404, {}), (409, {})])
def test_every_other_refusal_is_a_failure(status: int, fields: dict[str, str]) -> None:
    tally = Tally()
    tally.answered("PUT", Head(status, fields), good=frozenset({201}))
    assert tally.summary(seconds=1).failures == {f"PUT: answered {status}": 1}


def test_a_plot_is_an_image_with_its_curve_inside_the_axes() -> None:
    plot = Plot(
        title="Memory <of> a server", subtitle="flat", caption=["with default settings"], x_label="seconds",
        y_label="PSS, MiB", x=FLAT.seconds, y=FLAT.mib, line=FLAT.line, bound=150, bound_label="at most 150",
    )  # fmt: skip
    root = ET.fromstring(plot.to_svg())  # noqa: S314 - our own
    (curve,) = root.iter(f"{SVG}polyline")
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    points = [tuple(map(float, point.split(","))) for point in curve.attrib["points"].split()]
    assert len(points) == len(FLAT.mib)
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert {
        "Memory <of> a server", "flat", "with default settings", "seconds", "PSS, MiB", "100", "at most 150",
    } <= texts_of(root)  # fmt: skip


def test_the_picture_of_a_run_names_its_units_its_load_and_its_settings() -> None:
    words = " ".join(texts_of(ET.fromstring(memory_plot(a_result()).to_svg())))  # noqa: S314 - our own
    for part in ("time, minutes", "PSS, MiB", "20 uploads and 40 reads at once", "at most 100 MiB, +0.00 MiB a minute",
                 f"{10 * len(PLAN.demands)} uploads", "4 KiB to 512 KiB", "bundles end after 90 s"):  # fmt: skip
        assert part in words
