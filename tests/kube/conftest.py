"""One session for all cluster tests: images, server and jobs take minutes, and the tests only look at them."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.kube.cluster import Cluster
from tests.kube.installation import Installation
from tests.kube.probe import Finished
from tests.kube.processes import MissingError
from tests.kube.session import Session, session
from tests.kube.settings import read_settings


@pytest.fixture(scope="session")
def kube() -> Iterator[Session]:
    """Our server in a namespace of its own."""
    try:
        with session(settings=read_settings(), say=print) as running:
            yield running
    except MissingError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def installation(kube: Session) -> Installation:
    """The server as submitters see it."""
    return kube.installation


@pytest.fixture(scope="session")
def cluster(kube: Session) -> Cluster:
    """The namespace of the session."""
    return kube.cluster


@pytest.fixture(scope="session")
def finished_jobs(kube: Session) -> list[Finished]:
    """Java and Python on each Spark, run to their ends."""
    return [kube.run(job) for job in kube.jobs()]
