"""The init container with one small file, from start to end of its process, over a Python that does nothing.

Under load, the server answers 32 readers of 16 MiB meanwhile, which ask again as soon as they have an answer.  Server
and readers have the first half of the processors and use all of it; init container and Python have the other half, as
pods run on other machines than the server.  A third measurement lets all of them have all processors, where the load
takes from the init container more than half of the time that it needs to start.
"""

import itertools
import os
import secrets
import sys
from pathlib import Path

from benchmarks.background import traffic
from benchmarks.data import random_file, random_files
from benchmarks.measure import OURS, Sample, Samples, Side, alternate, seconds
from benchmarks.pod import Pod
from benchmarks.processes import measure
from benchmarks.remote import Shelf, remote_bundle
from benchmarks.scenario import KIB, MIB, Bench, Outcome
from benchmarks.scenarios.remote_s3 import shelf_of, stored
from benchmarks.staging import Bundle, StagingServer, staging_server
from benchmarks.targets import OVER_PYTHON
from benchmarks.trees import on_cores, put_on_cores

PYTHON = "python -c pass"
PYTHON_WITH_SDK = "python with botocore's session and signer"
PYTHON_WITH_BOTO3 = "python with boto3 and its client"
_SDK = "import botocore.session, botocore.auth, botocore.awsrequest"
_BOTO3 = "import boto3; boto3.client('s3', region_name='us-east-1')"
_ROUNDS = 3
"""Times the usual number of rounds: a run takes a fraction of a second, and milliseconds count."""

_READERS = 32
_NOTE = "Token, manifest, file, digest, report to the server and termination message included."


def run(bench: Bench) -> Outcome:
    """Measure both with the same interpreter; its warm-up compiles what has no bytecode yet."""
    with staging_server(bench.folder) as ours:
        samples = _measured(bench, ours, cores=None)
    return Outcome(
        title="Init container, one file of 10 KiB",
        size=0,
        samples=samples,
        figures={OVER_PYTHON: _over(samples)},
        notes=(_NOTE,),
    )


def run_s3(bench: Bench) -> Outcome:
    """Measure a pod whose only dependency is an object in S3, over Python with the import of what signs for it."""
    with stored(bench, count=1, size=10 * KIB) as (s3, names), staging_server(bench.folder / "server") as ours:
        shelf = shelf_of(s3, names, size=10 * KIB)
        bundle, numbers = remote_bundle(ours, shelf), itertools.count()
        sides = [
            Side(OURS, lambda: _with_s3(ours, shelf, bundle=bundle, root=bench.folder / f"pod-{next(numbers)}")),
            Side(PYTHON_WITH_SDK, lambda: Sample.of(measure([sys.executable, "-c", _SDK]))),
            Side(PYTHON_WITH_BOTO3, lambda: Sample.of(measure([sys.executable, "-c", _BOTO3]))),
            Side(PYTHON, lambda: Sample.of(measure([sys.executable, "-c", "pass"]))),
        ]
        samples = alternate(sides, runs=bench.runs * _ROUNDS, say=bench.say)
    return Outcome(
        title="Init container, one object of 10 KiB in S3",
        size=0,
        samples=samples,
        figures={
            OVER_PYTHON: (seconds(samples[OURS]) - seconds(samples[PYTHON_WITH_SDK])) * 1000,
            f"{OVER_PYTHON}, with the import": _over(samples),
        },
        notes=(_NOTE,),
    )


def run_loaded(bench: Bench) -> Outcome:
    """Measure both while the server is read from."""
    mine, theirs = _halves()
    with staging_server(bench.folder) as ours:
        large = random_file(bench.folder / "large.jar", size=16 * MIB)
        reads = [ours.file_request(ours.stage([large]), large)] * _READERS
        put_on_cores(ours.pid, theirs)
        with traffic(ours.url, reads=reads, cores=theirs) as load:
            samples = _measured(bench, ours, cores=mine)
        put_on_cores(ours.pid, mine | theirs)
        with traffic(ours.url, reads=reads, cores=mine | theirs):
            shared = _measured(bench, ours, cores=mine | theirs)
    return Outcome(
        title=f"Init container, one file of 10 KiB, while {_READERS} readers of 16 MiB load the server",
        size=0,
        samples={**samples, **{f"{name}, processors shared": found for name, found in shared.items()}},
        figures={
            OVER_PYTHON: _over(samples),
            f"{OVER_PYTHON}, processors shared": _over(shared),
            "reads meanwhile": load.counts["reads"],
        },
        notes=(_NOTE, "Others' cores: the load, where server and readers do not share processors with the container."),
    )


def _measured(bench: Bench, server: StagingServer, *, cores: set[int] | None) -> Samples:
    folder = bench.folder / f"pods-{secrets.token_hex(4)}"
    paths = random_files(folder / "files", count=1, size=10 * KIB, suffix=".jar")
    bundle, numbers = server.stage(paths), itertools.count()
    sides = [
        Side(OURS, lambda: _once(server, bundle=bundle, root=folder / f"pod-{next(numbers)}", cores=cores)),
        Side(PYTHON, lambda: Sample.of(measure(on_cores(cores, [sys.executable, "-c", "pass"])))),
    ]
    return alternate(sides, runs=bench.runs * _ROUNDS, say=bench.say)


def _once(server: StagingServer, *, bundle: Bundle, root: Path, cores: set[int] | None) -> Sample:
    pod = Pod(server, bundle=bundle, root=root)
    return Sample.of(measure(on_cores(cores, pod.command), server=server.pid, environment=pod.environment))


def _with_s3(server: StagingServer, shelf: Shelf, *, bundle: Bundle, root: Path) -> Sample:
    pod = Pod(server, bundle=bundle, root=root, sources=shelf.sources, environment=shelf.environment)
    return Sample.of(measure(pod.command, server=server.pid, environment=pod.environment))


def _over(samples: Samples) -> float:
    return (seconds(samples[OURS]) - seconds(samples[PYTHON])) * 1000


def _halves() -> tuple[set[int], set[int]]:
    """Return the processors of the init container and those of server and load; with one they share it."""
    every = sorted(os.sched_getaffinity(0))
    half = len(every) // 2
    return (set(every[half:]), set(every[:half])) if half else (set(every), set(every))
