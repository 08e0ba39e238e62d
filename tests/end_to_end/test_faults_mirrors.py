"""With a good second mirror, it does not matter what the first one does; and what `kill -9` leaves is gone on with."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.resolve import resolve
from resolver.sources.choose import Sources
from staging_io.http import HttpClient
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.sources import Mirror, SourceSettings
from tests.end_to_end.faulted import PATIENT, SMALL_PARTS, Plan
from tests.resolver import faulty_server as answers
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.outside import outside
from tests.services.fault_plans import passing, rules, spoiling
from tests.services.fault_proxy import FaultProxy

CONTENT = {f"{size}.jar": os.urandom(size) for size in (0, 1, 5000, 70_000)}
EXAMPLES = settings.default.max_examples if settings.default is not None else 100
PATHS = ("", "0.jar", "/1.jar", "5000.jar", "70000.jar")
PREFIX = "https://repo1.example/maven2/"
COMMAND = [sys.executable, "-c", "import sys; from submission.cli import main; sys.exit(main())"]
ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def web() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        for name, content in CONTENT.items():
            server.put(name, content)
        yield server


@pytest.fixture(scope="module")
def proxy(web: FaultyServer) -> Iterator[FaultProxy]:
    running = FaultProxy(web.url)
    yield running
    running.close()


@given(
    plan=st.lists(
        rules(st.one_of(passing(size=70_000), spoiling(size=70_000)), paths=PATHS, ever=True), min_size=1, max_size=3
    )
)
@settings(max_examples=EXAMPLES // 2)
def test_a_good_second_mirror_makes_up_for_a_bad_first_one(web: FaultyServer, proxy: FaultProxy, plan: Plan) -> None:
    proxy.plan(*plan)
    entries = tuple(
        ManifestEntry(uri=f"{PREFIX}{name}", kind=Kind.JAR, target=FileName(name), digest=Digest.of(content))
        for name, content in CONTENT.items()
    )
    mirror = Mirror(prefix=PREFIX, to=(f"{proxy.url}/", f"{web.url}/"))
    client = HttpClient(PATIENT)
    with tempfile.TemporaryDirectory() as folder:
        try:
            resolve(
                Manifest(entries=entries),
                folder_of=lambda _kind: Path(folder),
                sources=Sources(outside(client, SourceSettings(mirrors=(mirror,)))),
                settings=SMALL_PARTS,
            )
        finally:
            client.close()
        assert {name: (Path(folder) / name).read_bytes() for name in CONTENT} == CONTENT


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_a_killed_resolver_shows_nothing_and_the_next_one_goes_on(tmp_path: Path, parts: int) -> None:
    content = os.urandom(40 * MIB)
    with FaultyServer() as server:
        url = server.put("big.jar", content)
        server.faults["/big.jar"] = [lambda handler: handler.serve(content)] * parts + [answers.stall(after=5000)] * 20
        entry = {"uri": url, "kind": "jar", "target": "big.jar", "digest": Digest.of(content), "size": len(content)}
        (tmp_path / "manifest.json").write_text(json.dumps({"version": 1, "entries": [entry]}))
        (tmp_path / "sources.json").write_text(json.dumps({"egress": {"networks": {"allow": ["127.0.0.0/8"]}}}))
        final = tmp_path / "out" / "spark-jars" / "big.jar"

        process = resolving(tmp_path)
        wait_until(lambda: len(server.requests) > parts)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not final.exists()

        server.faults["/big.jar"].clear()
        second = resolving(tmp_path)
        second.communicate(timeout=60)
        assert second.returncode == 0
        assert final.read_bytes() == content

        before = len(server.requests)
        third = resolving(tmp_path)
        third.communicate(timeout=60)
        assert third.returncode == 0
        assert len(server.requests) == before, "a run over finished files moves nothing"


def resolving(folder: Path) -> subprocess.Popen[bytes]:
    """Start `spark-staging resolve` for the manifest in `folder`."""
    environment = {
        "PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(folder),
        "SPARK_STAGING_SOURCES": str(folder / "sources.json"),
    }  # fmt: skip
    command = [*COMMAND, "resolve", "manifest.json", "--into", "out"]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what happens soon; fail when it does not."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
