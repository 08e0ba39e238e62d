"""`list`, `status` and `kill`, at a real API server."""

from typing import Any

import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.tokens import BundleId
from submission.job_labels import SUBMISSION
from submission.jobs.as_spark import done_to_jobs
from submission.spark.command_line import parse_arguments
from tests.submission.conftest import Command
from tests.submission.jobs.conftest import Place
from tests.submission.jobs.pods import LABELS, ended, executor, pod, statuses

pytestmark = pytest.mark.services
BUNDLE = BundleId("a" * 26)


@pytest.fixture
def terminal(command: Command, place: Place) -> Command:
    """The command with the administrator's kubeconfig, in the namespace of the place."""
    command.environment |= {"KUBECONFIG": str(place.kube.kubeconfig), "SPARK_STAGING_NAMESPACE": place.namespace}
    return command


@pytest.fixture
def jobs(place: Place) -> Place:
    """A job that runs with an executor, and one that has failed."""
    labels = {**LABELS, SUBMISSION: "first", "spark-staging.io/bundle": BUNDLE}
    place.create(pod(name="first-driver", labels=labels))
    place.create(executor(1))
    place.set(statuses(phase="Running", spark={"running": {}}), name="first-driver")
    place.set({"phase": "Running"}, name="nightly-exec-1")
    place.create(pod(name="second-driver", labels={**LABELS, "spark-app-selector": "spark-2"}))
    place.set(statuses(phase="Failed", init=ended(0), spark=ended(3)), name="second-driver")
    return place


def test_jobs_are_listed_with_what_they_do(terminal: Command, jobs: Place) -> None:
    lines = terminal.inside("list").stdout.splitlines()
    assert lines[0].split() == ["DRIVER", "AGE", "STATE"]
    assert any(line.startswith("first-driver") and line.endswith("runs") for line in lines)
    assert any("failed: its container ended with exit code 3" in line for line in lines)
    found = terminal.json("list", "--running")
    assert [(job["pod"], job["submission"], job["bundle"]) for job in found] == [("first-driver", "first", BUNDLE)]
    everywhere = terminal.json("list", "--all-namespaces")
    assert {job["pod"] for job in everywhere if job["namespace"] == jobs.namespace} == {"first-driver", "second-driver"}


def test_the_status_of_a_job_names_all_that_is_known_of_it(terminal: Command, jobs: Place) -> None:
    text = terminal.inside("status", "first").stdout
    assert f"first-driver in namespace {jobs.namespace} runs" in text
    assert "executors:   1 running" in text
    assert BUNDLE in text
    (failed,) = terminal.json("status", "spark-2")
    assert (failed["exit_code"], failed["phase"]) == (3, "Failed")
    assert failed["executors"] == {}


def test_jobs_are_ended_by_a_pattern_and_a_finished_one_is_deleted(terminal: Command, jobs: Place) -> None:
    done = terminal.inside("kill", f"{jobs.namespace}:*-driver", "--grace", "0")
    assert done.returncode == 0
    assert "ended the driver first-driver" in done.stderr
    assert "deleted the finished driver second-driver" in done.stderr
    assert terminal.json("list") == []


def test_a_job_that_is_not_there_is_an_error_that_says_where_to_look(terminal: Command, jobs: Place) -> None:
    for words in (("status", "third"), ("kill", "third"), ("logs", "third")):
        done = terminal.inside(*words)
        assert done.returncode == ExitCode.NOT_FOUND
        assert f"spark-staging list -n {jobs.namespace}" in done.stderr


def test_a_log_is_of_one_job(terminal: Command, jobs: Place) -> None:
    done = terminal.inside("logs", "*-driver")
    assert done.returncode == ExitCode.USAGE
    assert "means 2 jobs" in done.stderr
    assert jobs.namespace


def test_an_executor_that_is_gone_is_told(terminal: Command, jobs: Place) -> None:
    done = terminal.inside("logs", "first", "--executor", "7")
    assert done.returncode == ExitCode.NOT_FOUND
    assert "executor 7" in done.stderr
    assert jobs.namespace


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--status", "second-*"), 1), (("--status", "NAMESPACE:first-driver"), 1), (("--status", "*"), 2)],
)
def test_sparks_own_status_tells_a_line_for_each_job(jobs: Place, words: tuple[str, ...], told: int) -> None:
    lines: list[str] = []
    spoken = [word.replace("NAMESPACE", jobs.namespace) for word in words]
    _done(jobs, spoken, tell=lines)
    assert len(lines) == told
    assert all(jobs.namespace in line for line in lines)


def test_sparks_own_kill_takes_its_grace_period(jobs: Place) -> None:
    said: list[str] = []
    _done(jobs, ["--kill", "first*", "--conf", "spark.kubernetes.appKillPodDeletionGracePeriod=0s"], say=said)
    staged = f"its bundle {BUNDLE} goes after the server's grace"
    assert said == [f"ended the driver first-driver in namespace {jobs.namespace}; {staged}"]


def _done(jobs: Place, words: list[str], *, say: list[str] | None = None, tell: list[str] | None = None) -> None:
    command: Any = parse_arguments(words)
    done_to_jobs(
        command,
        api=jobs.client,
        properties=command.conf,
        namespace=jobs.namespace,
        say=(say if say is not None else []).append,
        tell=(tell if tell is not None else []).append,
    )
