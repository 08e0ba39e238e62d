"""Dependencies in GCS: the init container against Google's own library and curl, and KServe's storage initializer.

The server is an emulator: what it costs per request is its own, the same for all sides.
"""

import os
from urllib.parse import quote

from benchmarks import curl
from benchmarks.peers.environments import KSERVE, LIBRARIES, environment
from benchmarks.remote import ON_LOOPBACK, SUFFIX, Peer, Shelf, compare, described, program
from benchmarks.scenario import KIB, MIB, Bench, Outcome
from staging_protocol.sources import GcsSources, SourceSettings
from tests.services.fake_gcs import FakeGcs, running_fake_gcs

_BUCKET = "dependencies"
_LIBRARY = "google-cloud-storage"


def run_large(bench: Bench) -> Outcome:
    """Download one file; the emulator takes several times its size of memory."""
    return _run(bench, count=1, size=64 * MIB, kserve=True)


def run_small(bench: Bench) -> Outcome:
    """Download many small files."""
    return _run(bench, count=bench.sized(2000, quick=200), size=10 * KIB)


def _run(bench: Bench, *, count: int, size: int, kserve: bool = False) -> Outcome:
    folder = bench.folder / "gcs"
    folder.mkdir()
    with running_fake_gcs(folder) as gcs:
        gcs.make_bucket(_BUCKET)
        names = [f"{number:05d}{SUFFIX}" for number in range(count)]
        gcs.put_many(_BUCKET, {name: os.urandom(size) for name in names})
        shelf = Shelf(
            title=f"GCS, {described(count, size)}", pid=gcs.pid, size=size,
            uris=[f"gs://{_BUCKET}/{name}" for name in names],
            sources=SourceSettings(gcs=GcsSources(endpoint=gcs.url, anonymous=True), egress=ON_LOOPBACK),
        )  # fmt: skip
        peers = [_library(gcs, names), _curl(bench, gcs, names)]
        return compare(bench, shelf, [*peers, *([_kserve(gcs, shelf)] if kserve else [])])


def _library(gcs: FakeGcs, names: list[str]) -> Peer:
    return Peer(
        name=_LIBRARY, command=program(environment(LIBRARIES), "gcs_library"),
        task={"endpoint": gcs.url, "bucket": _BUCKET, "names": names},
    )  # fmt: skip


def _curl(bench: Bench, gcs: FakeGcs, names: list[str]) -> Peer:
    targets = [(f"{gcs.url}/storage/v1/b/{_BUCKET}/o/{quote(name, safe='')}?alt=media", name) for name in names]
    return Peer(name="curl", command=curl.get_all(targets, headers={}, settings=bench.folder / "curl"))


def _kserve(gcs: FakeGcs, shelf: Shelf) -> Peer:
    return Peer(
        name="kserve", command=program(environment(KSERVE), "kserve"), task={"uris": list(shelf.uris)},
        environment={"STORAGE_EMULATOR_HOST": gcs.url},
    )  # fmt: skip
