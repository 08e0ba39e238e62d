"""A SeaweedFS for all tests of S3 of one process, and an environment in which AWS's tools find nothing by chance."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.resolver.s3.served import ServedByS3, reached, way_out, with_environment, write_key
from tests.services.seaweedfs import SeaweedFs, SeaweedFsMissing, running_seaweedfs

BUCKET = "dependencies"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
            server.client.create_bucket(Bucket=BUCKET)
            yield server
    except SeaweedFsMissing as error:
        missing(str(error))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have botocore find nothing but what the test says."""
    for name, value in with_environment({}).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


@pytest.fixture
def served(s3: SeaweedFs, secrets: Path) -> Iterator[ServedByS3]:
    key = write_key(secrets, key=s3.access_key, secret=s3.secret_key)
    with way_out(reached(s3.url, key=key), secrets=secrets) as outside:
        yield ServedByS3(s3, outside, BUCKET)
