"""A scripted API server, and the API of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.kube.api import KubeApi
from tests.submission.kube.scripted import Scripted, opened, scripted, write_kubeconfig

TOKEN = "a-token-of-a-kubeconfig"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
def api(server: Scripted, tmp_path: Path) -> Iterator[KubeApi]:
    path = write_kubeconfig(tmp_path / "kubeconfig", server.url, user={"token": TOKEN})
    with opened(path) as found:
        yield found
