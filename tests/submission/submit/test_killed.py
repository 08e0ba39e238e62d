"""What a submission leaves that was killed (SIGKILL), and how `bundles prune` finds it.

The API server has no controllers: what is gone was deleted by us.
"""

import signal
import subprocess
import threading
from typing import Any, Final

import pytest

from tests.services.faults import Place, Reset, Way, Zone
from tests.services.steps_proxy import StepsProxy
from tests.submission.conftest import DEADLINE
from tests.submission.submit.conftest import CREATION, Submitter

pytestmark = pytest.mark.services

_NOW: Final = ("--older-than", "0s")
_AFTER_THE_POD: Final = CREATION.index("POST pods") + 2
_AFTER_ONE_OWNER: Final = CREATION.index("PATCH secrets") + 2
_NEVER_ARRIVES: Final = Reset(Place(way=Way.UP, at=0, zone=Zone.HEAD))
"""So that the API server has carried out what came before, and nothing else."""


def killed(submitter: Submitter, proxy: StepsProxy, *, step: int) -> None:
    """Submit by a process of its own that is killed at a step, which does not reach the API server any more."""
    program: list[subprocess.Popen[str]] = []
    started = threading.Event()

    def kill() -> None:
        assert started.wait(DEADLINE)
        program[0].kill()

    proxy.at(step, fault=_NEVER_ARRIVES, then=kill)
    program.append(submitter.command.start(*submitter.arguments("--detach")))
    started.set()
    _, told = program[0].communicate(timeout=DEADLINE)
    assert program[0].returncode == -signal.SIGKILL, told
    assert proxy.steps == CREATION[:step]


def pruned(submitter: Submitter, *arguments: str) -> dict[str, str]:
    """Return the fate of each object that `prune` tells of, by kind and name."""
    found: list[dict[str, Any]] = submitter.command.json(
        "bundles", "prune", "-n", submitter.namespace, "--url", submitter.server.url, *arguments
    )
    return {f"{item['kind']}/{item['name']}": item["fate"] for item in found}


def let(submitter: Submitter, phase: str) -> None:
    """Let the driver be in a phase."""
    name = submitter.driver()["metadata"]["name"]
    submitter.kube.core.patch_namespaced_pod_status(name, submitter.namespace, {"status": {"phase": phase}})


@pytest.mark.parametrize("step", range(1, len(CREATION) + 1))
def test_nothing_is_left_of_a_submission_that_was_killed_at_any_step(
    step: int, submitter: Submitter, cluster_proxy: StepsProxy
) -> None:
    killed(submitter, cluster_proxy, step=step)
    there = {kind: names for kind, names in submitter.left().items() if kind != "bundle"}

    would = pruned(submitter, *_NOW, "--dry-run")
    assert {kind: names for kind, names in submitter.left().items() if kind != "bundle"} == there
    assert set(would.values()) <= {"would be deleted"}
    assert len(would) == sum(map(len, there.values()))

    assert pruned(submitter, *_NOW) == dict.fromkeys(would, "deleted")
    assert submitter.left().keys() == {"bundle"}  # which ends by itself, as nothing claims it


def test_after_pruning_the_same_submission_id_submits(
    submitter: Submitter, cluster_proxy: StepsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.submit.flow._PAUSE", 0.0)  # nobody else is submitting it
    submitter.options += ("--submission-id", "nightly-1")
    killed(submitter, cluster_proxy, step=CREATION.index("POST pods") + 1)

    refused = submitter.submit("--detach")
    assert refused.returncode == 2, refused.stderr
    assert f"spark-staging bundles prune -n {submitter.namespace} --older-than 1m" in refused.stderr
    pruned(submitter, *_NOW)
    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr


def test_a_driver_without_its_service_is_not_taken_for_the_job(
    submitter: Submitter, cluster_proxy: StepsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.submit.existing._PAUSE", 0.0)  # nobody else is submitting it
    submitter.options += ("--submission-id", "nightly-1")
    killed(submitter, cluster_proxy, step=CREATION.index("POST services") + 1)
    driver, where = submitter.driver()["metadata"]["name"], ("-n", submitter.namespace)

    refused = submitter.submit("--detach")
    assert refused.returncode == 2, refused.stderr
    assert f"its driver {driver} has no Service" in refused.stderr
    for told in (f"kill {driver}", "bundles prune"):
        assert f"spark-staging {told} -n {submitter.namespace}" in refused.stderr
    submitter.command.inside("kill", driver, "--grace", "0", *where)
    pruned(submitter, *_NOW)
    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert [one["metadata"]["name"] for one in submitter.objects("pod")] == [driver]


def test_a_driver_that_has_failed_is_told_with_how_to_run_it_again(submitter: Submitter) -> None:
    submitter.options += ("--submission-id", "nightly-1")
    assert submitter.submit("--detach").returncode == 0
    let(submitter, "Failed")
    driver = submitter.driver()["metadata"]["name"]

    told = submitter.submit("--detach").stderr

    assert f"its driver has failed; to run it again: spark-staging kill {driver} -n {submitter.namespace}" in told


def test_what_may_still_go_on_stays(submitter: Submitter, cluster_proxy: StepsProxy) -> None:
    killed(submitter, cluster_proxy, step=_AFTER_THE_POD)
    before = submitter.left()

    assert set(pruned(submitter).values()) == {"kept"}
    assert submitter.left() == before


def test_nothing_of_a_job_whose_driver_runs_goes(submitter: Submitter, cluster_proxy: StepsProxy) -> None:
    killed(submitter, cluster_proxy, step=_AFTER_ONE_OWNER)
    let(submitter, "Running")
    before = submitter.left()

    assert set(pruned(submitter, *_NOW).values()) == {"kept"}
    assert submitter.left() == before


def test_of_a_driver_that_has_ended_its_pod_stays_for_its_log(submitter: Submitter, cluster_proxy: StepsProxy) -> None:
    killed(submitter, cluster_proxy, step=_AFTER_THE_POD)
    let(submitter, "Failed")
    loose = {f"{one['kind']}/{one['metadata']['name']}" for one in without_owner(submitter)}

    assert pruned(submitter, *_NOW) == dict.fromkeys(loose, "deleted")
    assert submitter.left().keys() == {"pod", "bundle"}


def test_nothing_of_a_whole_job_goes_beside_one_that_was_cut_off(
    submitter: Submitter, cluster_proxy: StepsProxy
) -> None:
    assert submitter.submit("--detach").returncode == 0
    whole = submitter.left()
    cluster_proxy.steps.clear()
    killed(submitter, cluster_proxy, step=_AFTER_THE_POD)

    fates = pruned(submitter, *_NOW)

    (secret,) = whole["secret"]
    assert {name for name, fate in fates.items() if fate == "kept"} == {f"Secret/{secret}"}
    left = submitter.left()
    assert {kind: left[kind] for kind in whole if kind != "bundle"} == (
        {kind: names for kind, names in whole.items() if kind != "bundle"}
    )


def test_what_only_bears_our_label_is_nobodys_but_its_makers(submitter: Submitter) -> None:
    labels = {"spark-staging.io/submission": "mine"}
    submitter.kube.core.create_namespaced_config_map(
        submitter.namespace, {"metadata": {"name": "own", "labels": labels}}
    )

    assert pruned(submitter, *_NOW) == {}
    assert submitter.left() == {"config_map": ["own"]}


def without_owner(submitter: Submitter) -> list[dict[str, Any]]:
    kinds = {"secret": "Secret", "config_map": "ConfigMap", "service": "Service"}
    return [
        {**one, "kind": name}
        for kind, name in kinds.items()
        for one in submitter.objects(kind)
        if not one["metadata"].get("ownerReferences")
    ]
