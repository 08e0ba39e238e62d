"""Whatever fails while a job is created, nothing of it is left, in the cluster and on the staging server.

A proxy before the real API server, and one before the real staging server, break what they pass.
"""

import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from tests.services.fault_plans import EVER
from tests.services.faults import Fault, LoseAnswer, Place, Refuse, Reset, Rule, Stall, Way, Zone
from tests.services.steps_proxy import StepsProxy, steps_proxy
from tests.submission.conftest import DEADLINE
from tests.submission.submit.conftest import CREATION, Submitter

pytestmark = pytest.mark.services

STAGING: Final = ["POST bundles", "POST blobs", "POST bundles"]
"""What changes the staging server before that: create, upload, seal."""

REFUSALS: Final[dict[str, Fault]] = {
    "409": Refuse(status=409),
    "429": Refuse(status=429),
    "500": Refuse(status=500),
    "gone": Reset(Place(way=Way.UP, at=0, zone=Zone.HEAD)),
    "answers lost": LoseAnswer(),
}
ENDED: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}
LASTING: Final = 2
"""Requests: what fails is not tried again here, so the second one clears up, and goes on trying."""
SLOW: Final = Stall(Place(way=Way.DOWN, at=0, zone=Zone.HEAD), 0.3)


@pytest.fixture
def staging_proxy(submitter: Submitter) -> Iterator[StepsProxy]:
    """A proxy between the person and the staging server."""
    with steps_proxy(submitter.server.url, is_step=is_staging) as proxy:
        submitter.command.environment |= {"SPARK_STAGING_URL": proxy.url, "SPARK_STAGING_RETRY_SECONDS": "0"}
        yield proxy


def is_staging(method: str, path: str) -> bool:
    return method in {"POST", "PUT"} and "/v1/" in path


def test_what_the_pod_mounts_is_there_before_it(submitter: Submitter, cluster_proxy: StepsProxy) -> None:
    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert cluster_proxy.steps == CREATION


@pytest.mark.parametrize("step", range(1, len(CREATION) + 1))
@pytest.mark.parametrize("fault", REFUSALS)
def test_an_api_server_that_fails_at_any_step_leaves_nothing(
    fault: str, step: int, submitter: Submitter, cluster_proxy: StepsProxy
) -> None:
    cluster_proxy.at(step, fault=REFUSALS[fault], times=LASTING)

    done = submitter.submit("--detach")

    assert done.returncode == 44, done.stderr
    assert "deleting what was made: " in done.stderr
    assert submitter.left() == {}


@pytest.mark.parametrize("step", range(1, len(CREATION) + 1))
def test_one_lost_answer_of_the_api_server_costs_nothing_and_makes_nothing_twice(
    step: int, submitter: Submitter, cluster_proxy: StepsProxy
) -> None:
    cluster_proxy.at(step, fault=LoseAnswer())
    submitter.command.environment["SPARK_STAGING_RETRY_SECONDS"] = "10"

    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert {kind: len(names) for kind, names in submitter.left().items()} == {
        "pod": 1, "service": 1, "config_map": 2, "secret": 1, "network_policy": 1, "bundle": 1,
    }  # fmt: skip
    uid = submitter.driver()["metadata"]["uid"]
    for kind in ("service", "config_map", "secret"):
        assert [[owner["uid"] for owner in one["metadata"]["ownerReferences"]] for one in submitter.objects(kind)] == (
            [[uid]] * len(submitter.objects(kind))
        )


def test_a_slow_api_server_costs_time_only(submitter: Submitter, cluster_proxy: StepsProxy) -> None:
    cluster_proxy.at(1, fault=Stall(Place(way=Way.DOWN, at=0, zone=Zone.HEAD), 0.1), times=EVER)

    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert cluster_proxy.steps == CREATION


def test_a_webhook_that_cannot_be_tried_and_reviews_that_are_forbidden_are_no_reason_to_stop(
    submitter: Submitter, cluster_proxy: StepsProxy
) -> None:
    cluster_proxy.plan(
        Rule(fault=Refuse(status=400), path="dryRun=All", times=EVER),
        Rule(fault=Refuse(status=403), path="selfsubjectaccessreviews", times=EVER),
    )

    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert cluster_proxy.steps == CREATION


def test_a_bundle_that_cannot_be_bound_to_its_driver_is_told_and_the_job_goes_on(
    submitter: Submitter, staging_proxy: StepsProxy
) -> None:
    staging_proxy.at(len(STAGING) + 1, fault=REFUSALS["500"], times=EVER)

    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert staging_proxy.steps[-1] == "PUT bundles"
    assert "stays until its time to live is over" in done.stderr
    assert submitter.left().keys() >= {"pod", "bundle"}


def test_what_cannot_be_deleted_because_the_api_server_stays_away_is_told(
    submitter: Submitter, cluster_proxy: StepsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.submit.flow.UNDO_SECONDS", 0.0)
    cluster_proxy.at(CREATION.index("POST services") + 1, fault=REFUSALS["gone"], times=EVER)

    done = submitter.submit("--detach")

    assert done.returncode == 44, done.stderr
    name = submitter.driver()["metadata"]["name"]
    assert f"this may be left: kubectl -n {submitter.namespace} delete pod {name}" in done.stderr
    assert "bundle" not in submitter.left()


@pytest.mark.parametrize("step", range(1, len(STAGING) + 1))
@pytest.mark.parametrize("fault", ["500", "gone", "answers lost"])
def test_a_staging_server_that_fails_at_any_step_leaves_nothing(
    fault: str, step: int, submitter: Submitter, staging_proxy: StepsProxy
) -> None:
    staging_proxy.at(step, fault=REFUSALS[fault])

    done = submitter.submit("--detach")

    assert done.returncode == 44, done.stderr
    assert submitter.left() == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", range(1, len(CREATION) + 1))
def test_whoever_is_told_to_end_while_objects_are_created_leaves_nothing(
    step: int, number: signal.Signals, submitter: Submitter, cluster_proxy: StepsProxy
) -> None:
    done = interrupted(submitter, number, cluster_proxy, step=step)

    assert done == (ENDED[number], {})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", range(1, len(STAGING) + 1))
def test_whoever_is_told_to_end_while_files_are_staged_leaves_nothing(
    step: int, number: signal.Signals, submitter: Submitter, staging_proxy: StepsProxy
) -> None:
    done = interrupted(submitter, number, staging_proxy, step=step)

    assert done == (ENDED[number], {})


def interrupted(
    submitter: Submitter, number: signal.Signals, proxy: StepsProxy, *, step: int
) -> tuple[int, dict[str, list[str]]]:
    """Send a signal to the program when a step arrives; return its exit code, and what is left."""
    program: list[subprocess.Popen[str]] = []
    started = threading.Event()

    def send() -> None:
        assert started.wait(DEADLINE)
        program[0].send_signal(number)

    # The answer comes some time after the signal, so that the program is surely waiting for it.
    proxy.at(step, fault=SLOW, then=send)
    program.append(submitter.command.start(*submitter.arguments("--detach")))
    started.set()
    program[0].communicate(timeout=DEADLINE)
    return program[0].returncode, submitter.left()
