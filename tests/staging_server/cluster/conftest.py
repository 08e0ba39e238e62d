"""One API server for most tests of this folder; those that break theirs start their own."""

from collections.abc import Iterator

import pytest

from staging_server.tenants import Tenant
from tests.conftest import missing
from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.staging_server.cluster.lab import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return an API server that writes an audit log."""
    try:
        with running_kube_api(audit=True) as kube:
            yield Lab(kube=kube, folder=tmp_path_factory.mktemp("lab"))
    except KubeApiMissingError as error:
        missing(str(error))


@pytest.fixture
def tenant(lab: Lab) -> Tenant:
    """Return a new namespace; it goes with the API server."""
    return lab.make_namespace()
