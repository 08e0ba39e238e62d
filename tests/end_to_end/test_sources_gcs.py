"""Whole programs with dependencies in Google Cloud Storage: the init container, and `resolve` that is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from staging_io.files import HIDDEN_PREFIX, hidden
from staging_protocol import pod_contract
from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.wire import encode
from tests.conftest import missing
from tests.end_to_end.programs import run
from tests.init_container.test_init_container import Pod
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.google import ACCOUNT, Google, account_file, refusal
from tests.services.fake_gcs import FakeGcs, FakeGcsMissing, running_fake_gcs
from tests.services.fault_plans import EVER
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import Place, Rule, Stall

pytestmark = pytest.mark.services

MIB: Final = 1024 * 1024
LARGE: Final = 24 * MIB
PART: Final = 8 * MIB


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    try:
        with running_fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
            server.make_bucket("bucket")
            yield server
    except FakeGcsMissing as error:
        missing(str(error))


@pytest.fixture
def google(gcs: FakeGcs) -> Iterator[Google]:
    with Google(gcs.url) as server:
        yield server


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    with FaultyServer() as server:
        yield Pod(tmp_path, server)


def configure(pod: Pod, **gcs: object) -> None:
    """Mount a sources.json; what it does not name, rules of egress keep pods from."""
    path = pod.root / pod_contract.SETTINGS_FOLDER.lstrip("/") / pod_contract.SOURCES_KEY
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"gcs": gcs}))


def mount_key(pod: Pod, google: Google) -> str:
    """Mount a Secret with the key of an account; return how sources.json names it."""
    secrets = pod.root / pod_contract.SOURCE_SECRETS_FOLDER.lstrip("/")
    account_file(secrets / "gcs-key" / "key.json", token_url=f"{google.url}/token")
    return "gcs-key/key.json"


def jars(pod: Pod) -> dict[str, bytes]:
    folder = pod.root / pod_contract.FOLDERS[Kind.JAR].lstrip("/")
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(HIDDEN_PREFIX)}


def entry(name: str, *, target: str | None = None, content: bytes | None = None) -> ManifestEntry:
    return ManifestEntry(
        uri=f"gs://bucket/{name}", kind=Kind.JAR, target=FileName(target or name),
        digest=None if content is None else Digest.of(content),
    )  # fmt: skip


def test_a_pod_gets_its_jars_from_google_by_a_mounted_key(pod: Pod, gcs: FakeGcs, google: Google) -> None:
    configure(pod, endpoint=google.url, credentials=mount_key(pod, google))
    contents = {f"{number}.jar": os.urandom(50_000) for number in range(5)}
    gcs.put_many("bucket", contents)
    pod.entries = [
        entry(name, content=content if number % 2 else None) for number, (name, content) in enumerate(contents.items())
    ]
    code, log = pod.run()
    assert code == 0, log
    assert jars(pod) == contents
    # One token, and one request for each small object.
    assert (google.count("/token"), google.count("/storage")) == (1, 5)
    assert not any(google.issued[0] in json.dumps(line) for line in log)


@pytest.fixture
def metadata_server(google: Google) -> Iterator[Google]:
    """A server whose tokens `google` takes, at an address that dependencies may not come from."""
    with Google() as server:
        server.issued = google.issued
        yield server


def test_a_pod_gets_a_folder_from_google_by_workload_identity(
    pod: Pod, gcs: FakeGcs, google: Google, metadata_server: Google
) -> None:
    configure(pod, endpoint=google.url)
    pod.environment = {"GCE_METADATA_HOST": metadata_server.host}
    contents = {f"{number}.jar": os.urandom(1000) for number in range(5)}
    gcs.put_many("bucket", {f"libs/{name}": content for name, content in contents.items()})
    gcs.put_many("bucket", {"libs/deeper/a.jar": b"a", "libs/readme.txt": b"b", "libs/": b""})
    pod.entries = [entry("libs/*.jar", target="*.jar")]
    code, log = pod.run()
    assert code == 0, log
    assert jars(pod) == contents
    assert metadata_server.count("/computeMetadata") == 1


def test_a_pod_takes_an_emulator_from_the_environment(pod: Pod, gcs: FakeGcs) -> None:
    pod.environment = {"STORAGE_EMULATOR_HOST": gcs.url}
    gcs.put("bucket", "a.jar", b"a")
    pod.entries = [entry("a.jar")]
    code, log = pod.run()
    assert code == 0, log
    assert jars(pod) == {"a.jar": b"a"}


def test_a_pod_whose_account_may_not_read_says_which_and_what_is_missing(pod: Pod, google: Google) -> None:
    configure(pod, endpoint=google.url, credentials=mount_key(pod, google))
    pod.entries = [entry("a.jar")]
    google.refusals = [refusal(403, "no")]
    code, _ = pod.run()
    assert code == ExitCode.DENIED
    for word in (ACCOUNT, "storage.objects.get", "gs://bucket/a.jar"):
        assert word in (pod.message().detail or "")


def test_a_killed_run_is_continued_with_the_generation_that_it_began_with(gcs: FakeGcs, tmp_path: Path) -> None:
    content = os.urandom(LARGE)
    gcs.put("bucket", "large.jar", content)
    (tmp_path / "manifest.json").write_bytes(encode(Manifest(entries=(entry("large.jar"),))))
    proxy = FaultProxy(gcs.url)
    try:
        (tmp_path / "sources.json").write_text(json.dumps({"gcs": {"endpoint": proxy.url, "anonymous": True}}))
        arguments = (
            "resolve", tmp_path / "manifest.json", "--into", tmp_path / "into", "--sources", tmp_path / "sources.json",
        )  # fmt: skip
        environment = {"HOME": str(tmp_path)}
        jar = tmp_path / "into" / "spark-jars" / "large.jar"
        journal = hidden(jar, "journal")
        # The first part comes; of the others nothing does.
        proxy.plan(Rule(fault=Stall(Place(at=0)), path="large.jar", skip=1, times=EVER))
        process = subprocess.Popen(
            [Path(sys.executable).parent / "spark-staging", *arguments], env=environment, stderr=subprocess.PIPE
        )
        proxy.wait_until(lambda _: process.poll() is not None or _parts_of(journal) > 0)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL, said
        assert not jar.exists()
        proxy.drop_connections()
        proxy.plan()
        done = run("spark-staging", *arguments, environment=environment)
        assert done.returncode == 0, done.stderr
        assert jar.read_bytes() == content
        assert proxy.bytes_down() == LARGE - PART
        proxy.plan()
        done = run("spark-staging", *arguments, environment=environment)
        assert "was there" in done.stdout
        assert proxy.bytes_down() < PART
    finally:
        proxy.close()


def _parts_of(journal: Path) -> int:
    return len(journal.read_text().splitlines()) - 1 if journal.exists() else 0
