"""Which files go together, and what becomes of those that do when something goes wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.api.info import BatchLimits
from staging_protocol.digests import Digest
from staging_protocol.manifest import Kind
from staging_protocol.uris import DependencyUri
from submission.classify import Dependency
from submission.staging.batching import announced, loads, size_of
from submission.staging.digest_cache import DigestCache
from submission.staging.hashing import HashedFile
from submission.staging.local_files import FileVersion, LocalFile
from submission.staging.resumable import PART
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import LoseAnswer, Place, Refuse, Reset, Rule, Way
from tests.submission.conftest import Command, Server

_LIMITS = BatchLimits(blobs=128, blob_size=1024 * 1024, size=PART)
_GENEROUS = BatchLimits(blobs=10**6, blob_size=2**50, size=2**60)
_SIZES = st.lists(st.sampled_from([0, 1, 1000, 2**20, 2**20 + 1, PART, PART + 1]) | st.integers(0, 2**21), max_size=300)


def hashed_file(number: int, *, size: int) -> HashedFile:
    name = f"{number}.bin"
    version = FileVersion(device=1, inode=number, size=size, mtime_ns=0, ctime_ns=0)
    dependency = Dependency(uri=DependencyUri.parse(name), kind=Kind.FILE, named_by="--files")
    file = LocalFile(dependency=dependency, path=Path(name), version=version)
    return HashedFile(file=file, version=version, digest=Digest.of(name.encode()))


def files_of(sizes: list[int]) -> list[HashedFile]:
    return [hashed_file(number, size=size) for number, size in enumerate(sizes)]


@given(_SIZES, st.sampled_from([_LIMITS, _GENEROUS, None]))
def test_each_file_is_in_one_load_and_no_load_is_beyond_a_limit(sizes: list[int], limits: BatchLimits | None) -> None:
    files = files_of(sizes)
    found = loads(files, limits)
    assert sorted(one.digest for load in found for one in load) == sorted(one.digest for one in files)
    assert [size_of(load) for load in found] == sorted(map(size_of, found), reverse=True)
    for load in found:
        assert len(load) == 1 or limits is not None
        if len(load) > 1 and limits is not None:
            announced(load).check(limits)
            assert size_of(load) <= PART, "more would be sent again when the connection breaks"


@given(_SIZES)
def test_there_is_never_a_pair_of_batches_that_could_be_one(sizes: list[int]) -> None:
    small = [size for size in sizes if size <= _LIMITS.blob_size]
    batches = loads(files_of(small), _LIMITS)
    for one, other in zip(batches, batches[2:], strict=False):
        together = (*one, *other)
        assert len(together) > _LIMITS.blobs or size_of(together) > _LIMITS.size - _LIMITS.blob_size


@pytest.fixture
def proxy(fault_proxy: Callable[[str], FaultProxy], server: Server, command: Command) -> FaultProxy:
    state = fault_proxy(server.url)
    command.environment["SPARK_STAGING_URL"] = state.url
    return state


@pytest.fixture
def names(command: Command) -> str:
    """Forty new small files."""
    return ",".join(command.file(f"{number}.bin", os.urandom(20_000 + number)).name for number in range(40))


_SIZE = sum(20_000 + number for number in range(40))


def sent_by(proxy: FaultProxy) -> list[str]:
    """Return the requests with which bytes of blobs were sent."""
    return [one.method for one in proxy.exchanges if "/blobs" in one.path]


def test_many_small_files_are_one_request(command: Command, proxy: FaultProxy, names: str) -> None:
    result = command.json("stage", "--files", names)
    assert (result["requests"], result["bytes_staged"], sent_by(proxy)) == (4, _SIZE, ["POST"])


def test_a_second_run_sends_what_is_missing_only(command: Command, proxy: FaultProxy, names: str) -> None:
    command.json("stage", "--files", names)
    command.file("7.bin", os.urandom(30_000))
    result = command.json("stage", "--files", names)
    assert (result["requests"], result["bytes_staged"], sent_by(proxy)) == (3, 30_000, ["POST", "PUT"])


def test_a_batch_is_sent_again_as_a_whole_and_progress_counts_it_once(
    command: Command, proxy: FaultProxy, names: str
) -> None:
    proxy.plan(
        Rule(fault=Reset(Place(way=Way.UP, at=300_000)), method="POST", path="/blobs"),
        Rule(fault=LoseAnswer(), method="POST", path="/blobs", skip=1),
    )
    done = command.inside("stage", "--files", names, "--progress", "json")
    assert done.returncode == 0, done.stderr
    assert proxy.struck() == 2
    shown = [line for line in map(json.loads, done.stderr.splitlines()) if line.get("phase") == "upload"]
    assert max(line.get("done", 0) for line in shown) == _SIZE


def test_a_server_without_batches_gets_each_file_alone(command: Command, proxy: FaultProxy, names: str) -> None:
    proxy.plan(Rule(fault=Refuse(status=404), method="POST", path="/blobs"))
    result = command.json("stage", "--files", names)
    assert result["bytes_staged"] == _SIZE
    assert sent_by(proxy).count("PUT") == 40


def test_a_server_that_announces_no_batches_is_sent_none(
    command: Command, proxy: FaultProxy, server: Server, names: str
) -> None:
    info = json.loads(_body(server, "/v1/info"))
    del info["limits"]["batch"]
    older = Refuse(status=200, body=json.dumps(info).encode(), content_type="application/json")
    proxy.plan(Rule(fault=older, method="GET", path="/v1/info"))
    assert command.json("stage", "--files", names)["bytes_staged"] == _SIZE
    assert sent_by(proxy) == ["PUT"] * 40


def _body(server: Server, path: str) -> bytes:
    with server.http.open("GET", f"{server.url}{path}") as answer:
        return answer.read()


def test_a_file_that_changed_among_others_is_named_and_read_again(
    command: Command, proxy: FaultProxy, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.staging.digest_cache.is_racy", lambda _version: False)
    command.json("stage", "--files", names)
    _remember(command, name="7.bin", digest=Digest.of(b"another content of the same size and times"))
    command.file("8.bin", os.urandom(20_008))
    done = command.inside("stage", "--files", names)
    assert done.returncode == 0, done.stderr
    assert "7.bin (--files) was changed while it was staged; reading the files again" in done.stderr
    assert sent_by(proxy)[1] == "POST", "the two wanted files went together at first"


def _remember(command: Command, *, name: str, digest: Digest) -> None:
    """Let the next run believe that the file has this digest."""
    version = FileVersion.of((command.folder / name).stat())
    cache = next((Path(command.environment["HOME"]) / ".cache").rglob("digests.sqlite")).parent
    DigestCache(cache).remember({version: digest})
