"""Whatever the way to an HDFS does to requests and bytes: a file that is visible is whole, and a second run is good."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from resolver.resolve import resolve
from resolver.settings import ResolveSettings
from resolver.sources.choose import Sources
from staging_io.http import HttpSettings
from staging_protocol.errors import ExitCode, RequestInProgress, StagingError
from staging_protocol.manifest import Manifest
from tests.end_to_end.faulted import HASTY, PATIENT, SHORT, SMALL_PARTS
from tests.resolver.conftest import entry
from tests.resolver.hdfs import front_of, hadoop_or_missing, named, way_out
from tests.services.fault_plans import passing, rules, spoiling, stalling
from tests.services.fault_proxy import FaultProxy, fault_proxy
from tests.services.faults import Rule, Way
from tests.services.hadoop import Hadoop

pytestmark = pytest.mark.services

EXAMPLES = settings.default.max_examples if settings.default is not None else 100
FILES = {"empty.jar": b"", "one.jar": b"1", "part.jar": os.urandom(16_384), "parts.jar": os.urandom(50_000)}
PATHS = ("", "GETFILESTATUS", "/webhdfs/v1/faults/parts.jar", "/dn/", "/dn/webhdfs/v1/faults/part")


@dataclass(frozen=True)
class Place:
    """Files in an HDFS, and the proxy that every request to it goes through, to NameNode and DataNode."""

    hadoop: Hadoop
    proxy: FaultProxy

    def resolve(
        self, folder: Path, *, settings: ResolveSettings = SMALL_PARTS, http: HttpSettings = PATIENT
    ) -> StagingError | None:
        entries = (entry(f"hdfs://ns/faults/{name}", name, content=content) for name, content in FILES.items())
        with way_out(named(self.hadoop, urls=(self.proxy.url,)), http=http) as out:
            try:
                resolve(
                    Manifest(entries=tuple(entries)),
                    folder_of=lambda _kind: folder, sources=Sources(out), settings=settings,
                )  # fmt: skip
            except StagingError as error:
                return error
        return None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with hadoop_or_missing(tmp_path_factory.mktemp("hadoop")) as hadoop:
        for name, content in FILES.items():
            hadoop.put(f"/faults/{name}", content)
        with front_of(hadoop, tmp_path_factory.mktemp("front")) as nginx, fault_proxy(nginx.url) as proxy:
            yield Place(hadoop, proxy)


def plans(*faults: st.SearchStrategy[Rule], most: int) -> st.SearchStrategy[Sequence[Rule]]:
    return st.lists(st.one_of(*faults), min_size=1, max_size=most)


def attempt(
    place: Place, plan: Sequence[Rule], *, settings: ResolveSettings = SMALL_PARTS, http: HttpSettings = PATIENT
) -> ExitCode:
    """Resolve through the plan's faults and check everything that always holds; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place.proxy.plan(*plan)
        error = place.resolve(folder, settings=settings, http=http)
        note(f"error: {error!r}; struck: {[one for one in place.proxy.exchanges if one.struck]}")
        seen = visible(folder)
        assert seen.items() <= FILES.items()
        assert error is not None or seen == FILES
        place.proxy.plan()
        deadline = time.monotonic() + 30
        while isinstance(again := place.resolve(folder), RequestInProgress):  # a thread of the first run is left
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert again is None, "a second run did not mend it"
        assert visible(folder) == FILES
    return ExitCode.DONE if error is None else error.exit_code


def visible(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


@given(plan=plans(rules(passing(size=50_000), paths=PATHS, methods=["GET"]), most=3))
@settings(max_examples=EXAMPLES // 4)
def test_passing_faults_are_survived(place: Place, plan: Sequence[Rule]) -> None:
    assert attempt(place, plan) is ExitCode.DONE


@given(
    plan=plans(
        rules(passing(size=50_000), paths=PATHS, ever=True),
        rules(spoiling(size=50_000, ways=[Way.DOWN]), paths=PATHS, ever=True),
        most=3,
    )
)
@settings(max_examples=EXAMPLES // 4)
def test_no_wrong_file_is_ever_visible(place: Place, plan: Sequence[Rule]) -> None:
    attempt(place, plan, settings=SHORT)


@given(plan=plans(rules(stalling(size=50_000), paths=PATHS), most=2))
@settings(max_examples=EXAMPLES // 20)
def test_stalls_end(place: Place, plan: Sequence[Rule]) -> None:
    assert attempt(place, plan, http=HASTY) in {ExitCode.DONE, ExitCode.UNAVAILABLE}
