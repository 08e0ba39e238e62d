"""Staging what is new: `spark-staging stage` of many small files, and of a large one among small ones.

The peer is curl, which uploads the same files in parallel to nginx.  It computes no digest, asks nothing, and gets an
answer before anything is durable.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks import curl
from benchmarks.data import random_files, renew, settle
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.processes import RunFailed, measure
from benchmarks.scenario import GIB, KIB, MIB, Bench, Outcome
from benchmarks.scenarios.put import DAV
from benchmarks.staging import FORGET, NAMESPACE, StagingServer, program, staging_server
from staging_protocol.tokens import BundleId
from tests.services.nginx import Nginx, running_nginx

CURL = "curl to nginx"


def run_small(bench: Bench) -> Outcome:
    """Stage many small files."""
    return _run(bench, small=bench.sized(2000, quick=200), large=0)


def run_mixed(bench: Bench) -> Outcome:
    """Stage a large file and many small ones as one bundle."""
    return _run(bench, small=bench.sized(500, quick=50), large=bench.sized(GIB, quick=64 * MIB))


def _run(bench: Bench, *, small: int, large: int) -> Outcome:
    with (
        staging_server(bench.folder, settings=FORGET) as ours,
        running_nginx(bench.folder / "nginx", locations=DAV, access_log=False) as nginx,
    ):
        files = random_files(bench.folder / "job", count=small, size=100 * KIB, suffix=".jar")
        if large:
            files += random_files(bench.folder / "job" / "large", count=1, size=large, suffix=".zip")
        sides = [
            Side(OURS, lambda: stage_files(ours, files=files, cache=bench.folder / "cache")),
            Side(CURL, lambda: _by_curl(nginx, files=files, settings=bench.folder / "nginx.curl")),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    title = f"Stage {small} new files of 100 KiB"
    return Outcome(
        title=f"{title} and one of {large // MIB} MiB" if large else title,
        size=small * 100 * KIB + large,
        samples=samples,
        figures=speed(samples, against=CURL),
        notes=(
            "Ours is `spark-staging stage`: start of the process, digests, create, uploads and seal are included.",
            "curl --parallel uploads 50 at a time over kept connections, without a digest and without an fsync.",
        ),
    )


def stage_files(server: StagingServer, *, files: Sequence[Path], cache: Path) -> Sample:
    """Stage other contents of `files` as one bundle, and end it."""
    server.forget()
    _renew(files)
    shutil.rmtree(cache, ignore_errors=True)
    # Names relative to the working folder: 2,000 paths would not fit into one argument.
    folder = files[0].parent
    jars = ",".join(str(file.relative_to(folder)) for file in files)
    command = [program("spark-staging"), "stage", "--jars", jars, "--name", "benchmark", "--output", "json"]
    environment = {
        "SPARK_STAGING_URL": server.url,
        "SPARK_STAGING_NAMESPACE": NAMESPACE,
        "SPARK_STAGING_CACHE_FOLDER": str(cache),
    }
    settle()
    measured = measure(command, server=server.pid, environment=environment, folder=folder)
    answer = json.loads(measured.output)
    if answer["bytes_staged"] != sum(file.stat().st_size for file in files):
        msg = f"only {answer['bytes_staged']} bytes were staged"
        raise RunFailed(msg)
    server.client.delete(NAMESPACE, BundleId(answer["bundle"]))
    return Sample.of(measured)


def _by_curl(server: Nginx, *, files: Sequence[Path], settings: Path) -> Sample:
    _renew(files)
    for file in files:
        (server.root / file.name).unlink(missing_ok=True)
    targets = [(file, f"{server.url}/{file.name}") for file in files]
    command = curl.put_all(targets, headers={}, settings=settings)
    settle()
    return Sample.of(measure(command, server=server.pid))


def _renew(files: Sequence[Path]) -> None:
    for file in files:
        renew(file)
