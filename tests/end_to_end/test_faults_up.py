"""Whatever the way to the server does to an upload: after success everything reads back, else nothing is left open.

`pytest tests/end_to_end/test_faults_up.py --hypothesis-profile=long` tries for minutes.
"""

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import stamina
from hypothesis import given, note, settings
from hypothesis import strategies as st

from resolver.sources.staged import StagedSource
from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.api.bundles import BundleState
from staging_protocol.api.operators import NewSweep
from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode, StagingError
from staging_protocol.manifest import Kind
from staging_protocol.uris import DependencyUri
from submission.access.connection import connected
from submission.classify import Dependency
from submission.progress.lines import Quiet
from submission.settings import Settings
from submission.staging import resumable, stage, uploading
from submission.staging.stage import Staged, Stager
from tests.end_to_end.faulted import NAMESPACE, Plan
from tests.end_to_end.programs import Server, running
from tests.services.fault_plans import passing, rules, spoiling
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import Corrupt, LoseAnswer, Place, Refuse, Reset, Rule, SendTwice, Way

PART = 64 * 1024
"""Bytes of one append, so that files of some hundred kilobytes are resumable uploads."""

SIZES = (0, 1, 5000, 200_000)
PATHS = ("", "/bundles", "/blobs/", "/uploads", "/seal")
METHODS = (None, "POST", "PUT", "PATCH", "HEAD")
EXAMPLES = settings.default.max_examples if settings.default is not None else 100


@dataclass(kw_only=True, repr=False)
class Up:
    """A server, a proxy before it, and a person who stages through the proxy."""

    server: Server
    proxy: FaultProxy
    client: StagingClient
    seen: set[Path] = field(default_factory=set)

    def stage(self, folder: Path) -> Staged | StagingError:
        """Stage everything in `folder` as the command does."""
        dependencies = [
            Dependency(kind=Kind.JAR, uri=DependencyUri.parse(str(path)), named_by="--jars")
            for path in sorted(folder.iterdir())
        ]
        with tempfile.TemporaryDirectory() as cache:
            given = Settings(
                url=self.proxy.url, namespace=NAMESPACE, cache_folder=Path(cache), retry_seconds=60, stall_timeout=10
            )
            with connected(given) as connection, io.StringIO() as stream:
                stager = Stager(connection, settings=given, namespace=NAMESPACE, progress=Quiet(stream))
                try:
                    return stager.stage(dependencies, application="faults")
                except StagingError as error:
                    return error

    def check_blobs(self) -> None:
        """Every blob of the server is what its name says."""
        for path in (self.server.folder / "data").rglob("sha256/**/*"):
            if path.is_file() and path not in self.seen:
                self.seen.add(path)
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.partition(".")[0]

    def check_sealed(self, staged: Staged, folder: Path) -> None:
        """The bundle has exactly the files of the folder, and they read back."""
        assert self.client.bundle(NAMESPACE, staged.id).state is BundleState.SEALED
        manifest = self.client.manifest(NAMESPACE, staged.id)
        contents = {path.name: path.read_bytes() for path in folder.iterdir()}
        found = {entry.target: (entry.digest, entry.size) for entry in manifest.entries}
        assert found == {name: (Digest.of(content), len(content)) for name, content in contents.items()}
        http = HttpClient()
        try:
            reader = StagingClient(url=self.server.url, token=staged.token, http=http)
            source = StagedSource(reader, namespace=NAMESPACE, bundle=staged.id)
            for entry in manifest.entries:
                with source.read(DependencyUri.parse(entry.uri), version=None, start=0, stop=None) as reading:
                    buffer = memoryview(bytearray(len(contents[entry.target]) + 1))
                    assert bytes(buffer[: reading.read_into(buffer)]) == contents[entry.target]
        finally:
            http.close()

    def open_bundles(self) -> int:
        """Count the bundles that are not sealed."""
        page = self.client.bundles(NAMESPACE, limit=500)
        return sum(one.state is BundleState.OPEN for one in page.bundles)

    def delete_open(self) -> None:
        """Delete the bundles that are not sealed."""
        for one in self.client.bundles(NAMESPACE, limit=500).bundles:
            if one.state is BundleState.OPEN:
                self.client.delete(NAMESPACE, one.id)

    def reserved(self) -> int:
        """Return the bytes that open bundles still want."""
        return sum(one.reserved for one in self.client.usage().namespaces)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    lives = {"RETENTION__TIME_TO_LIVE": "2", "RETENTION__MIN_AGE": "0.1", "RETENTION__SWEEP_EVERY": "3600"}
    server = Server(folder=tmp_path_factory.mktemp("server"), settings={"STORAGE__SYNCHRONOUS": "normal", **lives})
    http = HttpClient()
    with pytest.MonkeyPatch.context() as patch, running(server):
        patch.setattr(resumable, "PART", PART)
        patch.setattr(uploading, "PART", PART)
        patch.setattr(stage, "_DELETE_SECONDS", 0.2)
        proxy = FaultProxy(server.url)
        try:
            yield Up(server=server, proxy=proxy, client=StagingClient(url=server.url, token=None, http=http))
        finally:
            proxy.close()
            http.close()


def make_files(folder: Path) -> None:
    """Make files that no server has."""
    for number, size in enumerate(SIZES):
        (folder / f"{number}.jar").write_bytes(os.urandom(size))


def attempt(up: Up, plan: Plan, *, allowed: set[ExitCode]) -> ExitCode:
    """Stage through the plan's faults and check everything that always holds; return the exit code."""
    with tempfile.TemporaryDirectory() as name, stamina.set_testing(True, attempts=8):
        folder = Path(name)
        make_files(folder)
        up.proxy.plan(*plan)
        staged = up.stage(folder)
        note(f"{staged!r}; struck: {[one for one in up.proxy.exchanges if one.struck]}")
        # Bytes that came twice can also be taken for the next request, and its answer for that of the delete.
        spoilt_delete = any(one.struck or one.status != 204 for one in up.proxy.exchanges if one.method == "DELETE")
        up.proxy.plan()
        up.check_blobs()
        if spoilt_delete:  # what the client could not delete is left to its time to live
            up.delete_open()
        if isinstance(staged, Staged):
            up.check_sealed(staged, folder)
            return ExitCode.DONE
        assert staged.exit_code in allowed
        again = up.stage(folder)
        assert isinstance(again, Staged), "a second run did not mend it"
        up.check_sealed(again, folder)
        return staged.exit_code


def is_twin_create(rule: Rule) -> bool:
    """Whether a create may run twice at the same time: then the token in the first answer is void (DESIGN 5).

    Sent again one after the other, as clients and proxies do, the last answer has the token that counts.
    """
    return rule.fault == SendTwice(at_once=True) and rule.method in {None, "POST"}


PASSING = rules(passing(size=200_000), paths=PATHS, methods=METHODS).filter(lambda rule: not is_twin_create(rule))


@given(plan=st.lists(PASSING, min_size=1, max_size=3))
@settings(max_examples=EXAMPLES // 4)
def test_passing_faults_are_survived(up: Up, plan: Plan) -> None:
    assert attempt(up, plan, allowed=set()) is ExitCode.DONE
    assert up.open_bundles() == 0


@given(
    plan=st.lists(
        rules(passing(size=200_000), paths=PATHS, methods=("PUT", "PATCH", "HEAD"), ever=True), min_size=1, max_size=2
    )
)
@settings(max_examples=EXAMPLES // 10)
def test_faults_that_do_not_pass_leave_no_open_bundle(up: Up, plan: Plan) -> None:
    attempt(up, plan, allowed={ExitCode.UNAVAILABLE})
    assert up.open_bundles() == 0
    assert up.reserved() == 0


@given(
    plan=st.lists(
        rules(spoiling(size=200_000, ways=[Way.UP]), paths=PATHS, methods=METHODS, most_times=1),
        min_size=1, max_size=2,
    )
)  # fmt: skip
@settings(max_examples=EXAMPLES // 4)
def test_changed_bytes_are_never_stored(up: Up, plan: Plan) -> None:
    attempt(up, plan, allowed=set(ExitCode) - {ExitCode.DONE})
    assert up.open_bundles() == 0


@given(at=st.integers(0, 900), bit=st.integers(0, 7))
@settings(max_examples=EXAMPLES // 10)
def test_a_create_request_that_was_changed_on_its_way_is_sent_again(up: Up, at: int, bit: int) -> None:
    plan = [Rule(fault=Corrupt(Place(way=Way.UP, at=at % 400), bit=bit), method="POST", path="/bundles")]
    assert attempt(up, plan, allowed=set()) is ExitCode.DONE


def test_what_a_client_could_not_delete_goes_with_the_sweep(up: Up, tmp_path: Path) -> None:
    make_files(tmp_path)
    up.proxy.plan(
        Rule(fault=Reset(Place(way=Way.UP, at=10)), method="PUT", times=1000),
        Rule(fault=Reset(Place(way=Way.UP, at=10)), method="POST", path="/blobs", times=1000),
        Rule(fault=LoseAnswer(), method="POST", path="/bundles"),
        Rule(fault=Refuse(503), method="DELETE", times=1000),
    )
    with stamina.set_testing(True, attempts=3):
        staged = up.stage(tmp_path)
    assert isinstance(staged, StagingError)
    assert staged.exit_code is ExitCode.UNAVAILABLE
    assert up.open_bundles() == 1
    deadline = time.monotonic() + 20
    while up.open_bundles():
        assert time.monotonic() < deadline
        up.client.sweep(NewSweep())
        time.sleep(0.1)
    assert up.reserved() == 0
