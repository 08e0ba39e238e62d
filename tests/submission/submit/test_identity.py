"""With a staging server that knows pods by Kubernetes a job needs no Secret, and its driver may read its bundle."""

from collections.abc import Iterator

import pytest

from staging_protocol.pod_contract import LABEL
from tests.staging_server.auth.cluster import Cluster
from tests.submission.access.test_login import settings_of, with_tls
from tests.submission.conftest import Server, serve
from tests.submission.submit.conftest import Submitter

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def guarded(town: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an authority of its own, which asks the cluster who is who."""
    folder = tmp_path_factory.mktemp("guarded")
    yield from serve(folder, folder / "ca.pem", **settings_of(town, **with_tls(folder)))


def test_no_secret_is_made_and_the_pod_asks_for_a_token_of_its_own(
    submitter: Submitter, town: Cluster, guarded: Server
) -> None:
    town.account(submitter.namespace, "submitter", role="spark-staging-submitter")
    submitter.command.environment |= {
        "SPARK_STAGING_URL": guarded.url,
        "SPARK_STAGING_CA_FILE": str(guarded.data.parent / "ca.pem"),
        "SPARK_STAGING_SERVICE_ACCOUNT": "submitter",
    }

    # Named, because no controller of this cluster gives a pod the account of that name.
    submitter.options += ("--conf", "spark.kubernetes.authenticate.driver.serviceAccountName=default")

    done = submitter.submit("--detach")

    assert done.returncode == 0, done.stderr
    assert submitter.objects("secret") == []
    pod = submitter.driver()
    (volume,) = (one for one in pod["spec"]["volumes"] if "projected" in one)
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "spark-staging"
    assert pod["metadata"]["labels"][LABEL]
