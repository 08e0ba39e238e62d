"""The main job on a real cluster: what `make demo-kube` shows, as assertions."""

import json

import pytest

from staging_protocol.digests import Digest
from staging_protocol.pod_contract import LABEL, MANIFEST_ANNOTATION
from tests.kube.installation import Installation
from tests.kube.probe import EXECUTORS, Finished
from tests.kube.verdict import faults
from tests.services.spark_distributions import SPARK_VERSIONS

pytestmark = pytest.mark.kube


def test_java_and_python_ran_on_each_spark(finished_jobs: list[Finished]) -> None:
    assert len(finished_jobs) == 2 * len(SPARK_VERSIONS)


def test_driver_and_executors_use_every_dependency_and_fetch_none_of_them(finished_jobs: list[Finished]) -> None:
    assert {job.job.name: faults(job) for job in finished_jobs} == {job.job.name: [] for job in finished_jobs}


def test_every_pod_of_a_job_reports_once_to_the_server(finished_jobs: list[Finished]) -> None:
    for job in finished_jobs:
        reporting = [report["pod"] for report in job.reports]
        assert sorted(reporting) == sorted(pod["metadata"]["name"] for pod in job.pods)
        assert len(reporting) == 1 + EXECUTORS


def test_every_pod_carries_its_bundle_and_the_digest_of_the_manifest(finished_jobs: list[Finished]) -> None:
    for job in finished_jobs:
        assert {pod["metadata"]["labels"][LABEL] for pod in job.pods} == {job.bundle}
        digests = {pod["metadata"]["annotations"][MANIFEST_ANNOTATION] for pod in job.pods}
        assert len(digests) == 1
        assert Digest(digests.pop())  # which raises for anything else


def test_spark_files_get_finds_files_on_executors_and_since_spark_4_in_the_driver(
    finished_jobs: list[Finished],
) -> None:
    for job in finished_jobs:
        assert job.used_by_executors("spark_files", marker="file") == EXECUTORS
        assert job.used_by_driver("spark_files", marker="file") == job.job.spark.version.startswith("4.")


def test_no_bundle_token_is_in_what_a_job_shows(finished_jobs: list[Finished]) -> None:
    for job in finished_jobs:
        shown = "\n".join((job.driver_log, job.submit_output, json.dumps(job.pods)))
        assert "sst_" not in shown


def test_the_driver_owns_the_secret_with_the_token(finished_jobs: list[Finished], installation: Installation) -> None:
    for job in finished_jobs:
        secrets = installation.cluster.select("secret", labels=f"{LABEL}={job.bundle}")
        owners = [owner["name"] for secret in secrets for owner in secret["metadata"].get("ownerReferences", [])]
        assert owners == [job.job.name]
