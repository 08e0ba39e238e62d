"""What a person is told of a pod, and the exit code of a driver."""

import json
from typing import Any

import pytest

from submission.jobs.pods import spark_container
from submission.jobs.states import deleted, has_started, outcome_of, state_of
from tests.submission.jobs.pods import ended, pod, statuses, waiting

UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes: Insufficient cpu.",
        }
    ],
}
REPORT = json.dumps(
    {"outcome": "failed", "role": "driver", "pod": "p", "exit_code": 40, "seconds": 1.0, "code": "not-found",
     "detail": "s3://b/a.jar is not there"}
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "waits for its scheduler"),
        (UNSCHEDULABLE, "waits for a node: 0/3 nodes: Insufficient cpu."),
        (statuses(), "is being made on node n1"),
        (statuses(init=waiting("PodInitializing")), "is being made on node n1"),
        (
            statuses(init=waiting("ImagePullBackOff", 'Back-off pulling image "x"')),
            'cannot pull init for its init container spark-staging-init: ImagePullBackOff: Back-off pulling image "x"',
        ),
        (statuses(init={"running": {}}, spark=waiting("PodInitializing")), "fetches its dependencies"),
        (
            statuses(init=ended(0), spark=waiting("CreateContainerConfigError", 'secret "s" not found')),
            'cannot start its container spark-kubernetes-driver: CreateContainerConfigError: secret "s" not found',
        ),
        (
            statuses(init=ended(0), spark=waiting("ErrImagePull", "manifest unknown")),
            "cannot pull spark:4.3.0 for its container spark-kubernetes-driver: ErrImagePull: manifest unknown",
        ),
        (
            statuses(init=ended(40, message=REPORT), spark=waiting("PodInitializing")),
            "waits after its init container spark-staging-init ended with exit code 40: s3://b/a.jar is not there",
        ),
        (statuses(init=ended(0), spark={"running": {}}, phase="Running"), "runs on node n1"),
        (statuses(phase="Succeeded", init=ended(0), spark=ended(0)), "succeeded"),
        (statuses(phase="Unknown"), "is not heard of: its node does not answer"),
        (
            statuses(phase="Failed", init=ended(40, message=REPORT), spark=waiting("PodInitializing")),
            "failed: the init container spark-staging-init ended with exit code 40: s3://b/a.jar is not there",
        ),
        (
            statuses(phase="Failed", init=ended(0), spark=ended(3, reason="Error")),
            "failed: its container ended with exit code 3",
        ),
        (
            statuses(phase="Failed", init=ended(0), spark=ended(137, reason="OOMKilled")),
            "failed: its container was killed because it used more memory than its limit (OOMKilled)",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            "failed: Evicted: The node was low on resource: memory.",
        ),
        ({"phase": "Failed"}, "failed: no container says why"),
        (
            statuses(phase="Failed", init=ended(41, message=REPORT[:90]), spark=waiting("PodInitializing")),
            f"failed: the init container spark-staging-init ended with exit code 41: {REPORT[:90].strip()}",
        ),
        (
            statuses(phase="Failed", init=ended(0), spark=ended(128, reason="StartError", message="no such file")),
            "failed: its container ended with exit code 128 (StartError): no such file",
        ),
        (
            {"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active longer than its deadline"},
            "failed: DeadlineExceeded: Pod was active longer than its deadline",
        ),
    ],
)
def test_a_person_is_told_why(status: dict[str, Any], words: str) -> None:
    assert state_of(pod(status=status, node="n1")) == words


def test_a_pod_that_is_being_deleted_says_so() -> None:
    going = pod(status=statuses(phase="Running"), deletionTimestamp="2026-03-01T11:00:00Z")
    assert state_of(going) == "is being deleted"


def test_a_pod_behind_gates_waits_to_be_admitted() -> None:
    held = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}
    gated = pod(status=statuses(conditions=[held]))
    gated["spec"]["schedulingGates"] = [{"name": "kueue.x-k8s.io/admission"}]
    assert state_of(gated) == "waits until it is admitted: kueue.x-k8s.io/admission"


def test_who_ends_a_pod_is_told() -> None:
    drained = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drain"}
    going = pod(
        status=statuses(phase="Running", spark={"running": {}}, conditions=[drained]), deletionTimestamp="2026-03-01"
    )
    assert state_of(going) == "is being deleted (EvictionByEvictionAPI: drain)"
    assert deleted(going).reason == "its pod was deleted (EvictionByEvictionAPI: drain)"
    going["status"] = statuses(phase="Failed", init=ended(0), spark=ended(143), conditions=[drained])
    assert state_of(going) == (
        "failed: its pod was deleted (EvictionByEvictionAPI: drain); its container ended with exit code 143"
    )


def test_a_sidecar_among_init_containers_is_not_waited_for_and_not_blamed() -> None:
    beside = pod(status=statuses(init={"running": {}}))
    beside["spec"]["initContainers"].insert(0, {"name": "mesh", "restartPolicy": "Always"})
    beside["status"]["initContainerStatuses"].insert(0, {"name": "mesh", "state": {"running": {}}})
    assert state_of(beside) == "fetches its dependencies"
    beside["status"] = statuses(phase="Failed", init=ended(0), spark=ended(3))
    beside["status"]["initContainerStatuses"].insert(0, {"name": "mesh", "state": ended(137)})
    assert state_of(beside) == "failed: its container ended with exit code 3"


@pytest.mark.parametrize(("code", "words"), [(0, "succeeded"), (3, "failed: its container ended with exit code 3")])
def test_a_driver_has_ended_though_a_sidecar_goes_on(code: int, words: str) -> None:
    beside = pod(status=statuses(phase="Running", init=ended(0), spark=ended(code)))
    beside["status"]["containerStatuses"].append({"name": "proxy", "state": {"running": {}}})
    assert outcome_of(beside) is None  # it would be started again
    beside["spec"]["restartPolicy"] = "Never"
    outcome = outcome_of(beside)
    assert outcome is not None
    assert outcome.exit_code == code
    assert state_of(beside) == words


def test_of_two_containers_that_failed_sparks_is_told() -> None:
    both = pod(status=statuses(phase="Failed", spark=ended(3)))
    both["status"]["containerStatuses"].insert(0, {"name": "proxy", "state": ended(1)})
    assert state_of(both) == "failed: its container ended with exit code 3"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (statuses(phase="Succeeded", spark=ended(0)), 0),
        (statuses(phase="Failed", init=ended(0), spark=ended(3)), 3),
        (statuses(phase="Failed", init=ended(40, message=REPORT), spark=waiting("PodInitializing")), 40),
        (statuses(phase="Failed", spark=ended(137, reason="OOMKilled")), 137),
        (statuses(phase="Failed", spark=ended(0)), 1),
        ({"phase": "Failed", "reason": "Evicted"}, 1),
    ],
)
def test_the_exit_code_is_that_of_the_container_that_failed(status: dict[str, Any], code: int) -> None:
    outcome = outcome_of(pod(status=status))
    assert outcome is not None
    assert outcome.exit_code == code
    assert (outcome.reason is None) == (code == 0)


@pytest.mark.parametrize("status", [{}, UNSCHEDULABLE, statuses(phase="Running", spark={"running": {}})])
def test_a_driver_that_has_not_ended_has_no_outcome(status: dict[str, Any]) -> None:
    assert outcome_of(pod(status=status)) is None


def test_a_driver_whose_init_container_failed_has_no_log() -> None:
    failed = pod(status=statuses(phase="Failed", init=ended(40), spark=waiting("PodInitializing")))
    outcome = outcome_of(failed)
    assert outcome is not None
    assert not outcome.has_log
    assert not has_started(failed)


def test_hostile_words_of_a_container_reach_the_terminal_harmless_and_short() -> None:
    words = state_of(pod(status=statuses(phase="Failed", init=ended(1, message="\x1b[31m" + "x" * 5000))))
    assert "\x1b" not in words
    assert len(words) < 800


def test_sparks_container_is_found_among_sidecars_and_under_another_name() -> None:
    mine = pod()
    mine["spec"]["containers"] = [
        {"name": "proxy"},
        {"name": "main", "env": [{"name": "SPARK_DRIVER_BIND_ADDRESS", "value": "1"}]},
    ]
    assert spark_container(mine) == "main"
    mine["spec"]["containers"] = [{"name": "first"}, {"name": "second"}]
    assert spark_container(mine) == "first"
