"""A pod whose dependencies lie in S3: `spark-staging-init` with `sources.json` and the files of a Secret."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from staging_protocol import pod_contract
from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from tests.conftest import missing
from tests.init_container.test_init_container import Pod
from tests.resolver.faulty_server import FaultyServer
from tests.services.fault_proxy import FaultProxy, fault_proxy
from tests.services.faults import Corrupt, Place, Rule
from tests.services.seaweedfs import REGION, SeaweedFs, SeaweedFsMissing, running_seaweedfs

pytestmark = pytest.mark.services

BUCKET: Final = "dependencies"
LARGE: Final = os.urandom(9 * 1024 * 1024)
"""More than comes in one part."""

SECRET: Final = "s3-of-the-team"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    try:
        with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
            server.client.create_bucket(Bucket=BUCKET)
            for key, content in {"libs/a b.jar": b"jar", "libs/large.jar": LARGE, "libs/sub/other.jar": b"x"}.items():
                server.client.put_object(Bucket=BUCKET, Key=key, Body=content)
            yield server
    except SeaweedFsMissing as error:
        missing(str(error))


@pytest.fixture
def pod(tmp_path: Path, s3: SeaweedFs) -> Iterator[Pod]:
    with FaultyServer() as server:
        made = Pod(tmp_path, server)
        # What stands in a pod's environment is not asked when the settings say who asks.
        made.environment = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "else"}
        made.stage(Kind.JAR, "staged.jar", b"staged")
        mount(made, s3.url, id=s3.access_key, secret=s3.secret_key)
        yield made


def mount(pod: Pod, url: str, **parts: str) -> None:
    """Mount `sources.json`, and the Secret that it names."""
    key = {part: f"{SECRET}/{part}" for part in parts}
    settings: dict[str, Any] = {"s3": {"endpoint": url, "region": REGION, "access_key": key}}
    folder = pod.root / pod_contract.SETTINGS_FOLDER.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / pod_contract.SOURCES_KEY).write_text(json.dumps(settings))
    secret = pod.root / pod_contract.SOURCE_SECRETS_FOLDER.lstrip("/") / SECRET
    secret.mkdir(parents=True, exist_ok=True)
    for part, value in parts.items():
        (secret / part).write_text(value)


def need(pod: Pod, key: str, *, scheme: str = "s3a", content: bytes | None = None) -> None:
    """Have the job need an object, of which the manifest knows the name only, or its content, too."""
    name = key.rpartition("/")[2].replace("%20", " ")
    pod.entries.append(
        ManifestEntry(
            uri=f"{scheme}://{BUCKET}/{key}",
            kind=Kind.JAR,
            target=FileName(name),
            digest=None if content is None else Digest.of(content),
            size=None if content is None else len(content),
        )
    )


def jars(pod: Pod) -> dict[str, bytes]:
    folder = pod.root / "var/spark-data/spark-jars"
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def test_a_pod_has_its_dependencies_from_s3(pod: Pod) -> None:
    need(pod, "libs/a%20b.jar", content=b"jar")
    need(pod, "libs/large.jar", scheme="s3")
    code, log = pod.run()
    assert code == 0, log
    assert jars(pod) == {"staged.jar": b"staged", "a b.jar": b"jar", "large.jar": LARGE}


def test_a_folder_is_expanded(pod: Pod) -> None:
    pod.entries.append(ManifestEntry(uri=f"s3a://{BUCKET}/libs/*.jar", kind=Kind.JAR, target=FileName("libs")))
    code, log = pod.run()
    assert code == 0, log
    assert jars(pod) == {"staged.jar": b"staged", "a b.jar": b"jar", "large.jar": LARGE}


def test_what_is_wrong_is_told_to_whoever_submitted(pod: Pod, s3: SeaweedFs) -> None:
    need(pod, "libs/nothing.jar")
    assert pod.run()[0] == ExitCode.NOT_FOUND
    mount(pod, s3.url, id=s3.access_key, secret="wrong-secret-of-the-team")
    assert pod.run()[0] == ExitCode.DENIED
    told = pod.message().detail or ""
    assert "test…-all" in told
    assert f"{SECRET}/id" in told
    assert "wrong-secret" not in told


@pytest.fixture
def spoiling(s3: SeaweedFs) -> Iterator[FaultProxy]:
    with fault_proxy(s3.url) as proxy:
        proxy.plan(Rule(fault=Corrupt(Place(at=1000)), method="GET", path="large.jar", times=1000))
        yield proxy


def test_a_spoilt_byte_is_noticed_though_nobody_named_a_digest(pod: Pod, s3: SeaweedFs, spoiling: FaultProxy) -> None:
    mount(pod, spoiling.url, id=s3.access_key, secret=s3.secret_key)
    need(pod, "libs/large.jar")
    code, log = pod.run()
    assert code == ExitCode.DIGEST_MISMATCH, log
    assert jars(pod) == {"staged.jar": b"staged"} or jars(pod) == {}


def test_a_key_that_the_settings_name_needs_no_sdk(pod: Pod) -> None:
    """There is nothing to find for which botocore, which takes 0.2 s and 15 MiB to load, would be needed."""
    (pod.root / "botocore.py").write_text("raise SystemExit('botocore was imported')")
    pod.environment["PYTHONPATH"] = f"{pod.root}{os.pathsep}{Path(__file__).parents[2]}"
    need(pod, "libs/large.jar")
    assert pod.run()[0] == 0
