"""Proxies that the environment of a pod names: what goes through them, and what is reached directly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.manifest import Kind
from tests.init_container.test_init_container import Pod
from tests.resolver.faulty_server import FaultyServer
from tests.services.connect_proxy import ConnectProxy, connect_proxy

NAME = "repository.invalid"
"""Known to the proxy only."""


@pytest.fixture
def elsewhere() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        server.put("a.jar", b"jar")
        yield server


@pytest.fixture
def proxy(elsewhere: FaultyServer) -> Iterator[ConnectProxy]:
    with connect_proxy({NAME: int(elsewhere.url.rpartition(":")[2])}) as running:
        yield running


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """With a staged dependency, and one from a server that only the proxy finds."""
    with FaultyServer() as server:
        made = Pod(tmp_path, server)
        made.stage(Kind.JAR, "staged.jar", b"staged")
        made.add(f"http://{NAME}/a.jar", Kind.JAR, "a.jar", b"jar")
        yield made


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_dependencies_come_by_the_proxy_and_the_staging_server_is_reached_directly(
    pod: Pod, proxy: ConnectProxy, name: str
) -> None:
    pod.environment[name] = proxy.url

    code, log = pod.run()

    assert code == 0, log
    assert pod.tree() >= {"var/spark-data/spark-jars/a.jar", "var/spark-data/spark-jars/staged.jar"}
    assert {target for _, target in proxy.asked} == {f"http://{NAME}/a.jar"}


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_no_proxy_names_is_reached_directly(pod: Pod, proxy: ConnectProxy, name: str) -> None:
    pod.environment |= {"HTTP_PROXY": proxy.url, name: f"other.example,{NAME}", "SPARK_STAGING_DEADLINE": "3"}

    code, _ = pod.run()

    assert code in {ExitCode.UNAVAILABLE, ExitCode.DEADLINE}, "its name leads nowhere"
    assert proxy.asked == []
