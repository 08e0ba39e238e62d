"""The init container with one small file, from start to end of its process, over a Python that does nothing."""

import itertools
import sys
from pathlib import Path

from benchmarks.data import random_files
from benchmarks.measure import OURS, Sample, Side, alternate, seconds
from benchmarks.pod import Pod
from benchmarks.processes import measure
from benchmarks.scenario import KIB, Bench, Outcome
from benchmarks.staging import Bundle, StagingServer, staging_server

PYTHON = "python -c pass"
_ROUNDS = 3
"""Times the usual number of rounds: a run takes a fraction of a second, and milliseconds count."""


def run(bench: Bench) -> Outcome:
    """Measure both with the same interpreter; its warm-up compiles what has no bytecode yet."""
    with staging_server(bench.folder) as ours:
        paths = random_files(bench.folder / "files", count=1, size=10 * KIB, suffix=".jar")
        bundle, numbers = ours.stage(paths), itertools.count()
        sides = [
            Side(OURS, lambda: _once(ours, bundle=bundle, root=bench.folder / f"pod-{next(numbers)}")),
            Side(PYTHON, lambda: Sample.of(measure([sys.executable, "-c", "pass"]))),
        ]
        samples = alternate(sides, runs=bench.runs * _ROUNDS, say=bench.say)
    over = seconds(samples[OURS]) - seconds(samples[PYTHON])
    return Outcome(
        title="Init container, one file of 10 KiB",
        size=0,
        samples=samples,
        figures={"milliseconds over python": over * 1000},
        notes=("Token, manifest, file, digest, report to the server and termination message included.",),
    )


def _once(server: StagingServer, *, bundle: Bundle, root: Path) -> Sample:
    pod = Pod(server, bundle=bundle, root=root)
    return Sample.of(measure(pod.command, server=server.pid, environment=pod.environment))
