"""`logs`, at a small server that has a driver's log: an API server without a node has none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.pod_contract import INIT_CONTAINER
from tests.submission.conftest import Command
from tests.submission.jobs.pods import SPARK, ended, executor, pod, statuses
from tests.submission.kube.scripted import Scripted, obj, raw, refuse, scripted, stream, write_kubeconfig

RUNNING = pod(status=statuses(phase="Running", init=ended(0), spark={"running": {}}))
SUCCEEDED = pod(status=statuses(phase="Succeeded", init=ended(0), spark=ended(0)))
ONE, TWO = b"2026-03-01T10:00:00.1Z one\n", b"2026-03-01T10:00:00.2Z two\n"


def items(*pods: dict[str, Any]) -> Any:
    return obj({"items": list(pods), "metadata": {"resourceVersion": "1"}})


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
def terminal(command: Command, server: Scripted, tmp_path: Path) -> Command:
    kubeconfig = write_kubeconfig(tmp_path / "here.yaml", server.url)
    command.environment |= {"KUBECONFIG": str(kubeconfig), "SPARK_STAGING_NAMESPACE": "jobs"}
    return command


def test_the_log_of_the_driver_is_printed_as_it_is(terminal: Command, server: Scripted) -> None:
    server.will(items(SUCCEEDED), raw(200, b"one\ntwo \x1b[1m\n"))
    done = terminal.run("logs", "nightly-driver", "--tail", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one\ntwo \x1b[1m\n"
    assert server.asked[-1].path == "/api/v1/namespaces/jobs/pods/nightly-driver/log"
    assert server.asked[-1].query == {"container": SPARK, "tailLines": "2"}


def test_a_log_is_followed_until_its_container_has_ended(terminal: Command, server: Scripted) -> None:
    server.will(
        items(RUNNING), obj(RUNNING), stream(ONE, TWO[:9], ends=False), obj(SUCCEEDED), stream(ONE, TWO)
    )  # fmt: skip
    done = terminal.run("logs", "-f", "nightly-driver")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one\ntwo\n"


def test_the_logs_of_an_executor_and_of_the_init_container_are_there_too(terminal: Command, server: Scripted) -> None:
    server.will(items(RUNNING), items(executor(2)), raw(200, b"of an executor\n"))
    assert terminal.run("logs", "spark-1", "--executor", "2").stdout == "of an executor\n"
    assert server.asked[-1].path.endswith("/nightly-exec-2/log")
    server.will(items(RUNNING), raw(200, b"of init\n"))
    assert terminal.run("logs", "spark-1", "--init").stdout == "of init\n"
    assert server.asked[-1].query["container"] == INIT_CONTAINER


def test_a_container_that_has_not_started_has_no_log(terminal: Command, server: Scripted) -> None:
    server.will(items(pod()), refuse(400, "BadRequest", "container is waiting to start: PodInitializing"))
    done = terminal.run("logs", "nightly-driver")
    assert done.returncode == ExitCode.USAGE
    assert "waiting to start" in done.stderr
    assert done.stdout == ""
