"""One API server for all tests of this folder, with what `deploy/` gives to the server and to people."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.staging_server.auth.cluster import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        with running_kube_api() as kube, kube.namespace() as home:
            made = Cluster(kube=kube, home=home, folder=tmp_path_factory.mktemp("cluster"))
            with made.installed():
                yield made
    except KubeApiMissingError as error:
        missing(str(error))
