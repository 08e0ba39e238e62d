"""What is promised of a dependency on any web server, by what its manifest entry and its server say about it.

With a digest: everything.  Without one: an end that came too early is noticed; changed bytes are not.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.settings import ResolveSettings
from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from tests.end_to_end.faulted import SHORT, SMALL_PARTS, Plan, Tree, resolve_from_web, tree_of
from tests.resolver import faulty_server as answers
from tests.resolver.faulty_server import FaultyServer
from tests.services.fault_plans import passing, rules, spoiling
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import Corrupt, Place, Rule, Way

CONTENT = {f"{size}.jar": os.urandom(size) for size in (0, 1, 5000, 16_384, 70_000)}
EXPECTED: Tree = {name: (0o644, content) for name, content in CONTENT.items()}
EXAMPLES = settings.default.max_examples if settings.default is not None else 100
SERVERS = ("tags and ranges", "ranges", "neither", "chunks")
PATHS = ("", "0.jar", "/1.jar", "5000.jar", "16384.jar", "70000.jar")


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


def behaves(web: FaultyServer, how: str) -> None:
    """Let the server be one of `SERVERS`."""
    web.sends_tags, web.knows_ranges = how == "tags and ranges", "ranges" in how
    web.faults.clear()
    for name, content in CONTENT.items():
        web.faults[f"/{name}"] = [answers.chunked(content)] * 1000 if how == "chunks" else []


def entries(proxy: FaultProxy, *, digests: bool, sizes: bool) -> list[ManifestEntry]:
    """Return entries that say as much as they shall."""
    return [
        ManifestEntry(
            uri=f"{proxy.url}/{name}", kind=Kind.JAR, target=FileName(name),
            size=len(content) if sizes else None, digest=Digest.of(content) if digests else None,
        )
        for name, content in CONTENT.items()
    ]  # fmt: skip


def attempt(
    proxy: FaultProxy, wanted: list[ManifestEntry], plan: Plan, *, allowed: set[ExitCode], settings: ResolveSettings
) -> ExitCode:
    """Resolve through the plan's faults; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        proxy.plan(*plan)
        error = resolve_from_web(wanted, Path(name), settings=settings)
        found = tree_of(Path(name))
        if error is None:
            assert found == EXPECTED
            return ExitCode.DONE
        assert error.exit_code in allowed
        assert found.items() <= EXPECTED.items()
        return error.exit_code


@given(
    how=st.sampled_from(SERVERS),
    plan=st.lists(rules(passing(size=70_000, ways=[Way.DOWN]), paths=PATHS), max_size=3),
    digests=st.booleans(),
    sizes=st.booleans(),
)
@settings(max_examples=EXAMPLES)
def test_passing_faults_are_survived_whatever_is_known(
    web: FaultyServer, proxy: FaultProxy, how: str, plan: Plan, *, digests: bool, sizes: bool
) -> None:
    behaves(web, how)
    wanted = entries(proxy, digests=digests, sizes=sizes)
    assert attempt(proxy, wanted, plan, allowed=set(), settings=SMALL_PARTS) is ExitCode.DONE


@given(
    how=st.sampled_from(SERVERS),
    plan=st.lists(rules(passing(size=70_000, ways=[Way.DOWN]), paths=PATHS, ever=True), min_size=1, max_size=3),
    digests=st.booleans(),
)
@settings(max_examples=EXAMPLES // 2)
def test_faults_that_do_not_pass_leave_nothing_wrong_also_without_a_digest(
    web: FaultyServer, proxy: FaultProxy, how: str, plan: Plan, *, digests: bool
) -> None:
    behaves(web, how)
    allowed = {ExitCode.UNAVAILABLE, ExitCode.DEADLINE}
    attempt(proxy, entries(proxy, digests=digests, sizes=False), plan, allowed=allowed, settings=SHORT)


@given(
    how=st.sampled_from(SERVERS),
    plan=st.lists(rules(spoiling(size=70_000, ways=[Way.DOWN]), paths=PATHS, ever=True), min_size=1, max_size=2),
)
@settings(max_examples=EXAMPLES // 2)
def test_with_a_digest_changed_bytes_are_never_seen(web: FaultyServer, proxy: FaultProxy, how: str, plan: Plan) -> None:
    behaves(web, how)
    allowed = {ExitCode.UNAVAILABLE, ExitCode.DIGEST_MISMATCH, ExitCode.DEADLINE}
    attempt(proxy, entries(proxy, digests=True, sizes=False), plan, allowed=allowed, settings=SHORT)


def test_without_any_digest_changed_bytes_cannot_be_noticed(
    web: FaultyServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Not a promise but its limit, as docs/uris.md says: in clear text, name a digest."""
    behaves(web, "tags and ranges")
    proxy.plan(Rule(fault=Corrupt(Place(at=100)), path="5000.jar"))
    assert resolve_from_web(entries(proxy, digests=False, sizes=True), tmp_path) is None
    assert (tmp_path / "5000.jar").read_bytes() != CONTENT["5000.jar"]


def test_a_digest_that_the_server_states_is_as_good_as_one_in_the_manifest(
    web: FaultyServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    behaves(web, "tags and ranges")
    web.repr_digest = Digest.of(CONTENT["5000.jar"]).repr_digest
    try:
        proxy.plan(Rule(fault=Corrupt(Place(at=100)), path="5000.jar"))
        wanted = [one for one in entries(proxy, digests=False, sizes=False) if one.target == "5000.jar"]
        assert resolve_from_web(wanted, tmp_path) is None
    finally:
        web.repr_digest = None
    assert (tmp_path / "5000.jar").read_bytes() == CONTENT["5000.jar"]
    assert proxy.struck(Corrupt) == 1
