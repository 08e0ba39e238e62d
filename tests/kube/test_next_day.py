"""The nightly job on the next day, with the usual lives of bundles and blobs and a server whose clock was moved.

This server serves one namespace, by a Role in it: it has no right to look at anything elsewhere.
"""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kube.cluster import Cluster
from tests.kube.identity_server import IdentityServer, identity_server, let_submit, tenant
from tests.kube.probe import Finished, Job, run_job
from tests.kube.verdict import faults
from tests.kube.workshop import Workshop

pytestmark = pytest.mark.kube

STAGED = re.compile(r"bundle \w{26}: \d+ files?, (.+) uploaded, (.+) held, (\d+) requests?")


@dataclass(frozen=True, kw_only=True)
class Nights:
    """The same job twice, and a file that is staged now and then.

    Attributes:
        first: the job's first night.
        end_of_first: the words with which the server told on the next day that the first bundle has ended.
        second: the job on the next day.
        held: bytes of the file that were uploaded on the next day.
        late: the same ten days after the last bundle that had it.
    """

    first: Finished
    end_of_first: str
    second: Finished
    held: int
    late: int


@pytest.fixture(scope="module")
def night_jobs() -> Iterator[Cluster]:
    """The one namespace that is served."""
    with tenant("nights") as namespace:
        yield namespace


@pytest.fixture(scope="module")
def server(workshop: Workshop, night_jobs: Cluster) -> Iterator[IdentityServer]:
    """A server with the usual settings, but for how often it looks."""
    settings = {"RETENTION__SWEEP_EVERY": "2", "KUBERNETES__LIST_EVERY": "5"}
    with identity_server(workshop, settings=settings, only=(night_jobs.namespace,)) as running:
        let_submit(running, night_jobs)
        yield running


@pytest.fixture(scope="module")
def nights(server: IdentityServer, night_jobs: Cluster, probe_jobs: list[Job]) -> Nights:
    """A night, the next day, and a day when nothing is left of the first."""
    job = probe_jobs[0]
    file, other = probe_jobs[-1].files.jar, probe_jobs[-1].files.module
    first = _run(job, server=server, jobs=night_jobs)
    once = server.stage(night_jobs, file)
    server.move_clock(days=1)
    end_of_first = server.end_of(night_jobs, first.bundle)
    server.end_of(night_jobs, once.bundle)
    held = server.stage(night_jobs, file)
    second = _run(dataclasses.replace(job, suffix="-next-day"), server=server, jobs=night_jobs)
    server.move_clock(days=2)
    server.end_of(night_jobs, held.bundle)
    # Its end tells that a sweep has come by, which gives up blobs after it has ended bundles.
    sign = server.stage(night_jobs, other)
    server.move_clock(days=12)
    server.end_of(night_jobs, sign.bundle)
    late = server.stage(night_jobs, file)
    return Nights(first=first, end_of_first=end_of_first, second=second, held=held.uploaded, late=late.uploaded)


def test_on_the_next_day_the_bundle_of_the_night_has_ended(nights: Nights) -> None:
    assert "the grace of 1 hour" in nights.end_of_first


def test_a_nightly_job_uploads_nothing_on_the_next_day(nights: Nights) -> None:
    first, second = (_uploaded(job.submit_output) for job in (nights.first, nights.second))
    assert first[0] != "0 bytes"
    assert second == ("0 bytes", first[0], "1")
    assert nights.held == 0


def test_it_runs_as_in_the_first_night(nights: Nights) -> None:
    assert nights.first.bundle != nights.second.bundle
    assert faults(nights.first) == []
    assert faults(nights.second) == []


def test_what_nobody_used_for_longer_than_blobs_are_kept_is_uploaded_again(nights: Nights) -> None:
    assert nights.late > 0


def test_a_server_of_one_namespace_sees_no_other(server: IdentityServer, night_jobs: Cluster) -> None:
    assert server.may("watch", "pods", namespace=night_jobs.namespace)
    assert not server.may("watch", "pods", namespace="kube-system")


def _run(job: Job, *, server: IdentityServer, jobs: Cluster) -> Finished:
    server.workshop.say(f"running {job.name} in {jobs.namespace}")
    return run_job(job, installation=server.installation(jobs), context=server.workshop.context)


def _uploaded(output: str) -> tuple[str, ...]:
    found = STAGED.search(output)
    assert found is not None, output
    return found.groups()
