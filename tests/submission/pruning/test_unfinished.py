"""Which objects of runs that were cut off go: the decision, without a cluster."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from submission.kube.resources import CONFIG_MAPS, PODS, SERVICES, Resource
from submission.pruning.labelled import DriverPod, Labelled, LabelledObjects, Life
from submission.pruning.unfinished import verdicts
from submission.pruning.verdict import Fate

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


def made(name: str, *, resource: Resource = CONFIG_MAPS, minutes: int = 120, **more: Any) -> Labelled:
    fields = {"namespace": "jobs", "run": "r1", "created": NOW - timedelta(minutes=minutes), **more}
    return Labelled(resource=resource, name=name, uid=f"uid of {name}", **fields)


def driver(life: Life, *, minutes: int = 120, **more: Any) -> DriverPod:
    return DriverPod(object=made("driver", resource=PODS, minutes=minutes, **more), life=life)


def gone(objects: Iterable[Labelled], *drivers: DriverPod) -> list[str]:
    found = verdicts(objects, drivers=lambda: drivers, before=NOW - HOUR)
    return [one.object.name for one in found if one.fate is Fate.DELETE]


LOOSE: Final = made("loose")
OWNED: Final = made("owned", resource=SERVICES, is_owned=True)


@pytest.mark.parametrize(
    ("drivers", "names"),
    [
        ([], ["loose"]),
        ([driver(Life.WAITS)], ["driver", "loose", "owned"]),
        ([driver(Life.LIVES)], []),
        ([driver(Life.ENDED)], ["loose"]),
        ([driver(Life.WAITS, minutes=59)], []),
        ([driver(Life.LIVES, run="r2")], ["loose"]),
        ([driver(Life.LIVES, namespace="others")], ["loose"]),
    ],
)
def test_it_depends_on_the_driver_of_the_same_run(drivers: list[DriverPod], names: list[str]) -> None:
    assert gone([LOOSE, OWNED], *drivers) == names


def test_the_youngest_object_of_a_run_says_how_long_ago_it_went_on() -> None:
    assert gone([LOOSE, made("younger", minutes=30)]) == []
    assert gone([LOOSE, made("of another run", minutes=30, run="r2")]) == ["loose"]


def test_where_all_have_an_owner_no_driver_is_asked_for() -> None:
    def never() -> Iterable[DriverPod]:
        pytest.fail("somebody looked")

    assert list(verdicts([OWNED], drivers=never, before=NOW)) == []


def test_a_driver_goes_before_what_it_owns() -> None:
    assert gone([OWNED, LOOSE], driver(Life.WAITS))[0] == "driver"


class Pods:
    """A cluster with one driver, of which only lists are asked."""

    def __init__(self, pod: dict[str, Any]) -> None:
        metadata = {"namespace": "jobs", "name": "d", "uid": "u", "creationTimestamp": "2026-03-01T12:00:00Z"}
        self.pod = {"metadata": {**metadata, **pod.pop("metadata", {})}, "spec": {}, **pod}

    def list(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"items": [self.pod]}


@pytest.mark.parametrize(
    ("pod", "life"),
    [
        ({}, Life.WAITS),
        ({"status": {"phase": "Pending"}}, Life.WAITS),
        ({"status": {"phase": "Pending"}, "spec": {"nodeName": "n"}}, Life.LIVES),
        ({"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}}, Life.LIVES),
        ({"status": {"phase": "Running"}, "spec": {"nodeName": "n"}}, Life.LIVES),
        ({"status": {"phase": "Unknown"}}, Life.LIVES),
        ({"status": {"phase": "Succeeded"}}, Life.ENDED),
        ({"status": {"phase": "Failed"}}, Life.ENDED),
    ],
)
def test_only_a_driver_that_was_never_on_a_node_has_not_started(pod: dict[str, Any], life: Life) -> None:
    objects = LabelledObjects(Pods(pod), namespace="jobs")  # type: ignore[arg-type] # only what is asked

    assert [one.life for one in objects.drivers()] == [life]
