"""One workshop for all cluster tests, and servers that they share: images, servers and jobs take minutes."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.kube.cluster import Cluster
from tests.kube.identity_jobs import Grown, Whole, growing_job, whole_job
from tests.kube.identity_server import IdentityServer, identity_server, let_submit, tenant
from tests.kube.installation import Installation
from tests.kube.probe import Finished, Job
from tests.kube.processes import MissingError
from tests.kube.session import Session, session
from tests.kube.settings import read_settings
from tests.kube.workshop import Workshop, workshop

SHORT_LIVES = {
    "RETENTION__TIME_TO_LIVE": "30",
    "RETENTION__MIN_AGE": "5",
    "RETENTION__GRACE": "30",
    "RETENTION__SWEEP_EVERY": "2",
    "KUBERNETES__LIST_EVERY": "5",
}
"""Seconds for what takes hours; the minute between a last claim and the list that confirms its end is always one."""


@pytest.fixture(scope="session", name="workshop")
def made_workshop() -> Iterator[Workshop]:
    """The cluster, with all images."""
    try:
        with workshop(settings=read_settings(), say=print) as made:
            yield made
    except MissingError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def kube(workshop: Workshop) -> Iterator[Session]:
    """Our server with access tokens, in a namespace of its own."""
    with session(workshop) as running:
        yield running


@pytest.fixture(scope="session")
def installation(kube: Session) -> Installation:
    """The server as submitters see it."""
    return kube.installation


@pytest.fixture(scope="session")
def cluster(kube: Session) -> Cluster:
    """The namespace of the session."""
    return kube.cluster


@pytest.fixture(scope="session")
def ready_jobs(kube: Session) -> list[Job]:
    """Java and Python for each Spark: their files are made once."""
    return list(kube.jobs())


@pytest.fixture(scope="session")
def finished_jobs(kube: Session, ready_jobs: list[Job]) -> list[Finished]:
    """Java and Python on each Spark, run to their ends."""
    return [kube.run(job) for job in ready_jobs]


@pytest.fixture(scope="session")
def identity(workshop: Workshop) -> Iterator[IdentityServer]:
    """Our server with the identity of the cluster, watching all of it, for which an hour has 30 seconds."""
    with identity_server(workshop, settings=SHORT_LIVES) as server:
        yield server


@pytest.fixture(scope="session")
def jobs(identity: IdentityServer) -> Iterator[Cluster]:
    """A namespace whose submitter may stage."""
    with tenant("jobs") as namespace:
        let_submit(identity, namespace)
        yield namespace


@pytest.fixture(scope="session")
def probe_jobs(workshop: Workshop, jobs: Cluster) -> list[Job]:
    """The probe jobs, by language and version of Spark as in the demo."""
    return list(workshop.jobs(jobs))


@pytest.fixture(scope="session")
def whole(identity: IdentityServer, jobs: Cluster, probe_jobs: list[Job]) -> Whole:
    """A Python job that ran to its end."""
    return whole_job(probe_jobs[1], server=identity, jobs=jobs)


@pytest.fixture(scope="session")
def grown(identity: IdentityServer, jobs: Cluster, probe_jobs: list[Job]) -> Grown:
    """A Python job that runs, and got an executor after the server was restarted."""
    return growing_job(probe_jobs[1], server=identity, jobs=jobs)
