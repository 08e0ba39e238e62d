"""The init container and `sources.json`: where it lies in a pod, what it decides, and what is said when it is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staging_protocol import pod_contract
from staging_protocol.errors import ExitCode
from staging_protocol.manifest import Kind
from tests.init_container.test_init_container import Pod
from tests.resolver import faulty_server as faults
from tests.resolver.faulty_server import FaultyServer

LOOPBACK: dict[str, Any] = {"egress": {"networks": {"allow": ["127.0.0.0/8"]}}}
TOKEN = "repository-token-of-the-test"


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    with FaultyServer() as server:
        yield Pod(tmp_path, server)


@pytest.fixture
def elsewhere() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


def tell(pod: Pod, sources: dict[str, Any] | str) -> None:
    """Mount `sources.json`."""
    folder = pod.root / pod_contract.SETTINGS_FOLDER.lstrip("/")
    folder.mkdir(parents=True)
    (folder / pod_contract.SOURCES_KEY).write_text(sources if isinstance(sources, str) else json.dumps(sources))


def give(pod: Pod, secret: str, key: str, value: str) -> None:
    """Mount a key of a Secret."""
    path = pod.root / pod_contract.SOURCE_SECRETS_FOLDER.lstrip("/") / secret / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)


def test_without_settings_a_pod_does_not_reach_itself(pod: Pod, elsewhere: FaultyServer) -> None:
    pod.add(elsewhere.put("a.jar", b"jar"), Kind.JAR, "a.jar", b"jar")

    code, log = pod.run()

    assert code == ExitCode.REFUSED_BY_POLICY, log
    assert "sources.json" in log[-1]["event"]
    assert elsewhere.requests == []


def test_a_credential_is_read_from_the_mounted_secret_and_shown_to_its_host_only(
    pod: Pod, elsewhere: FaultyServer
) -> None:
    pod.stage(Kind.JAR, "staged.jar", b"staged")
    pod.add(elsewhere.put("a.jar", b"jar"), Kind.JAR, "a.jar", b"jar")
    hosts = {elsewhere.url.removeprefix("http://"): {"bearer": "repository/token"}}
    tell(pod, {**LOOPBACK, "http": {"hosts": hosts}})
    give(pod, "repository", "token", f"{TOKEN}\n")

    code, log = pod.run()

    assert code == 0, log
    assert pod.tree() >= {"var/spark-data/spark-jars/a.jar", "var/spark-data/spark-jars/staged.jar"}
    assert {headers.get("Authorization") for headers in elsewhere.headers} == {f"Bearer {TOKEN}"}
    assert TOKEN not in str(pod.server.headers)
    assert TOKEN not in str(log)
    assert log[-1]["sources"] == {"http": {"files": 1, "size": 3}, "staged": {"files": 1, "size": 6}}
    assert log[-1]["retries"] == 0


def test_a_secret_that_is_not_there_is_told_at_once_with_its_file(pod: Pod, elsewhere: FaultyServer) -> None:
    pod.add(elsewhere.put("a.jar", b"jar"), Kind.JAR, "a.jar", b"jar")
    hosts = {elsewhere.url.removeprefix("http://"): {"bearer": "repository/token"}}
    tell(pod, {**LOOPBACK, "http": {"hosts": hosts}})

    code, log = pod.run()

    assert code == ExitCode.USAGE
    assert "repository/token" in log[-1]["event"]
    assert elsewhere.requests == []


def test_retries_are_counted_in_the_summary(pod: Pod, elsewhere: FaultyServer) -> None:
    pod.add(elsewhere.put("a.jar", b"jar"), Kind.JAR, "a.jar", b"jar")
    elsewhere.faults["/a.jar"] = [faults.status(503), faults.status(503)]
    tell(pod, LOOPBACK)

    code, log = pod.run()

    assert code == 0, log
    assert (log[-1]["event"], log[-1]["retries"], log[-1]["files"]) == ("resolved", 2, 1)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ("{", "sources.json cannot be used"),
        ("", "sources.json cannot be used"),
        ('{"s3": {"end_point": "https://x"}}', "end_point"),
        ('{"gcs": {"credentials": "../key.json"}}', "<secret>/<key>"),
        ('{"version": 2}', "$.version"),
    ],
)
def test_settings_that_are_not_understood_end_it_before_anything_is_fetched(pod: Pod, sources: str, said: str) -> None:
    pod.stage(Kind.JAR, "a.jar", b"jar")
    tell(pod, sources)

    code, log = pod.run()

    assert code == ExitCode.USAGE
    assert said in log[-1]["event"]
    assert "sources.json" in log[-1]["event"]
    assert pod.message().exit_code == ExitCode.USAGE
    assert pod.server.requests == []
