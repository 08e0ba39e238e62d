"""Waiting for a driver at a real API server: what is said, how it ends, and what broken connections do not change."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from staging_protocol.errors import DeadlineExceeded, Denied, NotFound, Unavailable
from submission.jobs import patience, watching
from submission.jobs.watching import wait_for_driver
from submission.kube.errors import Gone
from tests.services.faults import Refuse, Rule
from tests.services.steps_proxy import StepsProxy, steps_proxy
from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import until
from tests.submission.jobs.conftest import Person, Place
from tests.submission.jobs.pods import ended, executor, pod, statuses, waiting
from tests.submission.kube.scripted import Scripted, opened, raw, refuse, scripted, stream, write_kubeconfig

pytestmark = pytest.mark.services
RUNNING = statuses(phase="Running", init=ended(0), spark={"running": {}})
SUCCEEDED = statuses(phase="Succeeded", init=ended(0), spark=ended(0))


def test_each_change_is_told_once_and_the_end_last(place: Place, person: Person, driver: dict[str, Any]) -> None:
    del driver
    person.waits()
    person.hears("driver nightly-driver waits for its scheduler")
    place.set(statuses(init={"running": {}}))
    person.hears("fetches its dependencies")
    place.set(RUNNING)
    person.hears("runs")
    place.set({"message": "nothing that a person has to know"})
    place.set(SUCCEEDED)
    assert person.learns_the_end().exit_code == 0
    assert [line.rpartition(" after ")[0] or line for line in person.lines] == [
        "driver nightly-driver waits for its scheduler",
        "driver nightly-driver fetches its dependencies",
        "driver nightly-driver runs",
        "driver nightly-driver succeeded",
    ]


def test_a_driver_that_ended_before_somebody_waited_is_told_at_once(
    place: Place, person: Person, driver: dict[str, Any]
) -> None:
    del driver
    place.set(statuses(phase="Failed", init=ended(43, message="no space"), spark=waiting("PodInitializing")))
    person.waits()
    assert person.learns_the_end().exit_code == 43
    assert "ended with exit code 43: no space" in person.lines[-1]


def test_executors_are_counted_and_their_failures_told(
    place: Place, person: Person, driver: dict[str, Any], add_executor: Callable[[int], str]
) -> None:
    del driver
    place.set(RUNNING)
    person.waits()
    person.hears("runs")
    names = [add_executor(number) for number in (1, 2)]
    for name in names:
        place.set({"phase": "Running"}, name=name)
    person.hears("2 executors running")
    place.set({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, name=names[0])
    person.hears("executor nightly-exec-1 failed: Evicted: low on memory")
    person.hears("1 executor running")
    place.set(SUCCEEDED)
    assert person.learns_the_end().exit_code == 0


def test_a_crowd_of_failing_executors_is_told_by_its_number(
    place: Place, person: Person, driver: dict[str, Any], add_executor: Callable[[int], str]
) -> None:
    del driver
    place.set(RUNNING)
    person.waits()
    person.hears("runs")
    for number in range(1, 10):
        name = add_executor(number)
        place.set({"phase": "Running"}, name=name)
        place.set({"phase": "Failed"}, name=name)
    person.hears("8 executors have failed so far")
    assert sum("failed: " in line for line in person.lines) == 5


def test_a_deleted_driver_is_told_and_is_no_success(place: Place, person: Person, driver: dict[str, Any]) -> None:
    del driver
    place.set(RUNNING)
    person.waits()
    person.hears("runs")
    place.delete()
    outcome = person.learns_the_end()
    assert (outcome.exit_code, outcome.phase) == (1, "Deleted")
    assert person.lines[-1].endswith("its pod was deleted")


def test_a_finished_driver_that_is_deleted_has_finished(place: Place, person: Person, driver: dict[str, Any]) -> None:
    del driver
    person.waits()
    person.hears("waits")
    place.set(SUCCEEDED)
    place.delete()
    assert person.learns_the_end().exit_code == 0


def test_another_pod_of_that_name_is_not_the_driver(place: Place, person: Person, driver: dict[str, Any]) -> None:
    place.set(RUNNING)
    breaking = Breaking(place.client)
    person.api = breaking
    person.waits()
    person.hears("runs")
    breaking.is_away = True
    place.delete()
    place.create(driver)
    breaking.is_away = False
    assert person.learns_the_end().phase == "Deleted"


def test_who_waits_for_a_time_looks_once_at_least_and_then_no_longer(place: Place, driver: dict[str, Any]) -> None:
    del driver
    lines: list[str] = []

    with pytest.raises(DeadlineExceeded, match="driver nightly-driver has not ended in 0 s"):
        wait_for_driver(place.client, namespace=place.namespace, pod="nightly-driver", say=lines.append, seconds=0)
    assert lines == ["driver nightly-driver waits for its scheduler"]
    place.set(SUCCEEDED)
    outcome = wait_for_driver(
        place.client, namespace=place.namespace, pod="nightly-driver", say=lines.append, seconds=0
    )
    assert outcome.exit_code == 0


def test_who_waits_for_nothing_is_told_so(place: Place) -> None:
    with pytest.raises(NotFound):
        wait_for_driver(place.client, namespace=place.namespace, pod="nobody", say=print)


def test_a_driver_without_the_label_of_an_application_is_watched_by_its_name(place: Place, person: Person) -> None:
    place.create(pod(labels={"spark-role": "driver"}))
    place.create(executor(1))
    person.waits()
    person.hears("waits for its scheduler")
    place.set({"phase": "Running"}, name="nightly-exec-1")
    place.set(SUCCEEDED)
    assert person.learns_the_end().exit_code == 0
    assert not any("executor" in line for line in person.lines)


def test_an_image_that_does_not_come_is_told_once_however_often_it_is_tried(
    place: Place, person: Person, driver: dict[str, Any]
) -> None:
    del driver
    person.waits()
    for number in range(3):
        place.set(statuses(init=ended(0), spark=waiting("ErrImagePull", "manifest unknown")))
        place.set(statuses(init=ended(0), spark=waiting("ImagePullBackOff", f"Back-off {number} s")))
    place.set(RUNNING)
    person.hears("runs")
    assert sum("ErrImagePull: manifest unknown" in line for line in person.lines) <= 1
    assert sum("ImagePullBackOff" in line for line in person.lines) <= 1
    assert any("cannot pull spark:4.3.0" in line for line in person.lines)
    place.set(SUCCEEDED)
    person.learns_the_end()


def test_a_volume_that_does_not_come_is_told_from_events(
    place: Place, person: Person, driver: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LOOKED_AT_AFTER", 1.0)
    name = driver["metadata"]["name"]
    uid = place.kube.core.read_namespaced_pod(name, place.namespace).metadata.uid
    event = {
        "metadata": {"name": "a-warning"},
        "involvedObject": {"kind": "Pod", "name": name, "namespace": place.namespace, "uid": uid},
        "type": "Warning",
        "reason": "FailedMount",
        "message": 'configmap "x" not found',
        "lastTimestamp": "2026-03-01T10:00:00Z",
    }
    place.kube.core.create_namespaced_event(place.namespace, event)
    place.set(statuses())
    person.waits()
    person.hears('is being made, and is held up: FailedMount: configmap "x" not found')
    place.set(SUCCEEDED)
    person.learns_the_end()
    assert sum("FailedMount" in line for line in person.lines) == 1


# --- the driver's log


class Logged:
    """The real API, but for logs, which another one gives: an API server without a node has none."""

    def __init__(self, api: Any, logs: Any) -> None:
        self._api = api
        self.log = logs.log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)


@pytest.fixture
def kubelet() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
def logged(place: Place, kubelet: Scripted, tmp_path: Path) -> Iterator[Logged]:
    with opened(write_kubeconfig(tmp_path / "logs", kubelet.url)) as logs:
        yield Logged(place.client, logs)


def test_a_driver_that_fails_is_told_with_the_last_lines_of_its_log(
    place: Place, person: Person, driver: dict[str, Any], kubelet: Scripted, logged: Logged
) -> None:
    del driver
    kubelet.will(refuse(503), raw(200, b"Traceback:\n\tZero\x1b[31mDivisionError\n"))
    place.set(statuses(phase="Failed", init=ended(0), spark=ended(3, reason="Error")))
    person.api = logged
    person.waits()
    assert person.learns_the_end().exit_code == 3
    assert kubelet.asked[-1].query["tailLines"] == "20"
    where = f"spark-staging logs nightly-driver -n {place.namespace}"
    assert person.lines[:-1] == [
        f"the last lines of its log (all: {where}):",
        "  | Traceback:",
        "  |         Zero\\x1b[31mDivisionError",
    ]
    assert person.lines[-1].endswith("with exit code 3: its container ended with exit code 3")


def test_a_log_that_is_followed_goes_to_standard_output_whole_though_it_breaks(
    place: Place, driver: dict[str, Any], kubelet: Scripted, logged: Logged, capfdbinary: Any
) -> None:
    del driver
    first, second = b"2026-03-01T10:00:00.1Z one\n", b"2026-03-01T10:00:00.2Z two\n"
    kubelet.will(stream(first, second[:9], ends=False), stream(first, second))
    place.set(SUCCEEDED)
    lines: list[str] = []
    outcome = wait_for_driver(
        logged,  # type: ignore[arg-type] # as the real one
        namespace=place.namespace,
        pod="nightly-driver",
        say=lines.append,
        follow=True,
    )
    assert outcome.exit_code == 0
    assert capfdbinary.readouterr().out == b"one\ntwo\n"


# --- connections that break


@pytest.fixture
def proxied(place: Place, town: Cluster, tmp_path: Path) -> Iterator[tuple[StepsProxy, Any]]:
    """A proxy that cuts, and the API behind it, for somebody with a token: the proxy ends TLS."""
    town.account(place.namespace, "person", role="cluster-admin")
    content = yaml.safe_load(place.kube.kubeconfig.read_text())
    authority = Path(content["clusters"][0]["cluster"]["certificate-authority"])
    with steps_proxy(place.kube.url, authority=authority, is_step=lambda _method, path: "watch=1" in path) as proxy:
        content["clusters"][0]["cluster"] = {"server": proxy.url}
        content["users"][0]["user"] = {"token": town.token(place.namespace, "person", audiences=())}
        path = tmp_path / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        with opened(path, retry_seconds=0) as api:
            yield proxy, api


def test_watches_that_are_cut_miss_nothing_and_tell_nothing_twice(
    place: Place, person: Person, driver: dict[str, Any], proxied: tuple[StepsProxy, Any]
) -> None:
    del driver
    proxy, person.api = proxied
    person.waits()
    person.hears("waits for its scheduler")
    changes = [(statuses(init={"running": {}}), "fetches"), (RUNNING, "runs")]
    for number, (status, words) in enumerate(changes, start=1):
        until(lambda number=number: len(proxy.steps) >= number, what="a watch")  # type: ignore[misc] # bound now
        proxy.drop_connections()
        place.set(status)
        person.hears(words)
    proxy.drop_connections()
    place.set(SUCCEEDED)
    assert person.learns_the_end().exit_code == 0
    assert len(person.lines) == 4, person.lines


def test_an_api_server_that_answers_500_and_429_is_waited_for(
    place: Place, person: Person, driver: dict[str, Any], proxied: tuple[StepsProxy, Any]
) -> None:
    del driver
    proxy, person.api = proxied
    proxy.plan(Rule(fault=Refuse(500), path="watch=1", times=1), Rule(fault=Refuse(429), path="watch=1", times=2))
    person.waits()
    person.hears("still waiting")
    place.set(SUCCEEDED)
    assert person.learns_the_end().exit_code == 0
    assert sum("still waiting" in line for line in person.lines) == 1


class Breaking:
    """The real API, whose watches and lists fail when a test says so."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.is_away = False
        self.gone = 0
        self.denied = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def get(self, *arguments: Any, **options: Any) -> Any:
        self._check()
        return self._api.get(*arguments, **options)

    def list(self, *arguments: Any, **options: Any) -> Any:
        self._check()
        return self._api.list(*arguments, **options)

    def watch(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        self._check()
        if self.gone:
            self.gone -= 1
            msg = "too old"
            raise Gone(msg)
        for event in self._api.watch(*arguments, **{**options, "seconds": 1}):
            self._check()
            yield event

    def _check(self) -> None:
        if self.denied:
            msg = "the right was taken away"
            raise Denied(msg)
        if self.is_away:
            msg = "the Kubernetes API does not answer"
            raise Unavailable(msg)


def test_an_api_server_that_is_away_for_a_while_is_told_once(
    place: Place, person: Person, driver: dict[str, Any]
) -> None:
    del driver
    breaking = Breaking(place.client)
    person.api = breaking
    person.waits()
    person.hears("waits for its scheduler")
    breaking.is_away = True
    person.hears("the Kubernetes API does not answer; the job is not affected, still waiting")
    place.set(SUCCEEDED)
    breaking.is_away = False
    assert person.learns_the_end().exit_code == 0
    assert sum("does not answer" in line for line in person.lines) == 1
    assert "the Kubernetes API answers again" in person.lines


def test_a_version_that_is_too_old_is_listed_again_without_a_word(
    place: Place, person: Person, driver: dict[str, Any]
) -> None:
    del driver
    breaking = Breaking(place.client)
    breaking.gone = 3
    person.api = breaking
    person.waits()
    person.hears("waits for its scheduler")
    place.set(SUCCEEDED)
    assert person.learns_the_end().exit_code == 0
    assert len(person.lines) == 2


def test_a_driver_that_was_deleted_while_nobody_heard_of_it_is_missed(
    place: Place, person: Person, driver: dict[str, Any]
) -> None:
    del driver
    breaking = Breaking(place.client)
    person.api = breaking
    person.waits()
    person.hears("waits for its scheduler")
    breaking.is_away = True
    person.hears("still waiting")
    place.delete()
    breaking.is_away = False
    assert person.learns_the_end().phase == "Deleted"


def test_who_may_no_longer_look_is_told_why(
    place: Place, person: Person, driver: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del driver
    monkeypatch.setattr(patience, "_LONGEST_PAUSE", 0.1)
    breaking = Breaking(place.client)
    person.api = breaking
    person.waits()
    person.hears("waits for its scheduler")
    breaking.denied = True
    until(lambda: person.error, what="an error")
    assert isinstance(person.error, Denied)


def test_a_refusal_that_passes_is_waited_for(place: Place, person: Person, driver: dict[str, Any]) -> None:
    del driver
    breaking = Breaking(place.client)
    person.api = breaking
    person.waits()
    person.hears("waits for its scheduler")
    breaking.denied = True
    person.hears("the right was taken away; the job is not affected, still waiting")
    breaking.denied = False
    place.set(SUCCEEDED)
    assert person.learns_the_end().exit_code == 0
