"""`spark-staging submit`, which needs no JVM, with real Spark on a real cluster."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.errors import ExitCode
from tests.kube.installation import Installation
from tests.kube.probe import EXECUTORS, Finished, Job
from tests.kube.session import Session
from tests.kube.settings import read_settings
from tests.kube.spark import spark_image
from tests.kube.submitted import (
    client_mode,
    ended,
    failing_main,
    job_with_a_killed_executor,
    left_over,
    r_job,
    small_words,
)
from tests.kube.verdict import DEPENDENCIES, faults
from tests.kube.workshop import Workshop
from tests.services.spark_distributions import SPARK_VERSIONS

pytestmark = pytest.mark.kube


@pytest.fixture(scope="session")
def submit_jobs(ready_jobs: list[Job]) -> list[Job]:
    """Java and Python for each Spark."""
    return [dataclasses.replace(job, through="submit", suffix="-submit") for job in ready_jobs]


@pytest.fixture(scope="session")
def submitted(kube: Session, submit_jobs: list[Job]) -> list[Finished]:
    """All of them, run to their ends."""
    return [kube.run(job) for job in submit_jobs]


@pytest.fixture(scope="session")
def killed(installation: Installation, submit_jobs: list[Job], workshop: Workshop) -> Finished:
    """A Python job one of whose executors was killed and replaced."""
    return job_with_a_killed_executor(submit_jobs[1], installation=installation, context=workshop.context)


@pytest.fixture(scope="session")
def outside(installation: Installation, submit_jobs: list[Job], workshop: Workshop) -> dict[str, Any]:
    """What a driver outside the cluster printed."""
    return client_mode(submit_jobs[1], installation=installation, context=workshop.context)


def test_java_and_python_use_every_dependency_on_driver_and_executors(submitted: list[Finished]) -> None:
    assert len(submitted) == 2 * len(SPARK_VERSIONS)
    assert {job.job.name: faults(job) for job in submitted} == {job.job.name: [] for job in submitted}


def test_what_a_person_reads_of_a_good_job_ends_with_its_success(submitted: list[Finished]) -> None:
    for job in submitted:
        last = job.submit_output.strip().splitlines()[-1]
        assert job.job.name in job.submit_output
        assert "succeeded" in last.lower(), job.submit_output


def test_everything_that_was_made_is_owned_by_the_driver(submitted: list[Finished], installation: Installation) -> None:
    cluster = installation.cluster
    for job in submitted:
        driver = cluster.get("pod", job.job.name)
        labels = f"spark-staging.io/submission={driver['metadata']['labels']['spark-staging.io/submission']}"
        # Its Service goes with the application.
        made = [item for kind in ("configmap", "secret") for item in cluster.select(kind, labels=labels)]
        assert len(made) == 3
        assert {item["metadata"]["ownerReferences"][0]["uid"] for item in made} == {driver["metadata"]["uid"]}


def test_an_executor_in_the_place_of_a_killed_one_has_every_dependency(killed: Finished) -> None:
    assert killed.phase == "Succeeded"
    assert {name: killed.used_by_executors(name) for name in DEPENDENCIES} == dict.fromkeys(DEPENDENCIES, EXECUTORS)


def test_an_r_program_and_its_executors_find_every_dependency(
    installation: Installation, submit_jobs: list[Job], workshop: Workshop
) -> None:
    job = submit_jobs[1]
    image = spark_image(job.spark, settings=read_settings(), packages=("r-base-core",))
    workshop.bring(image)
    log = r_job(job, image, installation=installation, context=workshop.context)
    markers = job.files.markers
    assert f"R PROBE file {markers['file']}" in log
    assert f"R PROBE jars {job.files.jar.name}" in log
    in_python = " ".join(markers[name] for name in ("archive", "module", "package"))
    assert f"R PROBE archive and Python {in_python}" in log
    (line,) = [line for line in log.splitlines() if line.startswith("R PROBE executors ")]
    found = dict(one.strip().split("=", maxsplit=1) for one in line.removeprefix("R PROBE executors ").split(";"))
    assert found == dict.fromkeys(("1", "2"), f"{markers['jar']} {markers['file']} {in_python}")


def test_the_exit_code_of_a_failing_driver_is_that_of_submit(
    installation: Installation, submit_jobs: list[Job], workshop: Workshop, tmp_path: Path
) -> None:
    main = failing_main(tmp_path, code=7)
    words = small_words(main, submit_jobs[1], name="failing", installation=installation, context=workshop.context)
    done = ended(["--follow", *words], installation=installation)
    assert done.returncode == 7, done.stderr
    assert "the last words of the driver" in done.stdout.splitlines()


def test_a_failing_init_container_is_told_in_words(
    installation: Installation, submit_jobs: list[Job], workshop: Workshop, tmp_path: Path
) -> None:
    main = failing_main(tmp_path, code=0)
    words = small_words(main, submit_jobs[1], name="no-bundle", installation=installation, context=workshop.context)
    wrong = f"http://spark-staging.{installation.cluster.namespace}.svc:8480/elsewhere"
    done = ended(words, installation=installation, variables={"SPARK_STAGING_POD_URL": wrong})
    assert done.returncode == ExitCode.NOT_FOUND, done.stderr
    assert "spark-staging-init" in done.stderr
    assert "there is no such route" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_driver_outside_and_its_executors_use_what_was_staged(
    outside: dict[str, Any], submit_jobs: list[Job]
) -> None:
    markers = submit_jobs[1].files.markers
    assert {name: outside["driver"][name] for name in ("module", "package", "jar", "file")} == {
        name: markers[name] for name in ("module", "package", "jar", "file")
    }
    for found in outside["executors"]:
        assert {name: found[name] for name in ("module", "package", "file")} == {
            name: markers[name] for name in ("module", "package", "file")
        }
        assert found["folder"].startswith("/var/spark-data/")
    assert all(markers["jar"] in jar for jar in outside["jars"])


def test_a_dry_run_leaves_nothing(
    installation: Installation, submit_jobs: list[Job], workshop: Workshop, tmp_path: Path
) -> None:
    main = failing_main(tmp_path, code=0)
    words = small_words(main, submit_jobs[1], name="dry", installation=installation, context=workshop.context)
    done = ended(["--dry-run", *words], installation=installation)
    assert done.returncode == 0, done.stderr
    assert "kind: Pod" in done.stdout
    assert left_over(installation.cluster, name="dry") == []
