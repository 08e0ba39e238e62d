"""Submitting an unchanged job again: `spark-staging stage` of 40 files, as a nightly job does it.

A relay between client and server counts requests and bytes.  Warm means that the client remembers the digests of the
files, cold that it has to read them all, as on a fresh CI machine.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from benchmarks.data import random_files
from benchmarks.measure import OURS, Sample, Side, alternate
from benchmarks.processes import Measured, RunFailed, measure
from benchmarks.relay import Relay, counting_relay
from benchmarks.scenario import Bench, Outcome
from benchmarks.staging import NAMESPACE, program, staging_server

COLD = f"{OURS}, cold digest cache"
_FILES = 40


def run(bench: Bench) -> Outcome:
    """Stage once, which uploads; then measure staging the same again."""
    size = bench.sized(12_500_000, quick=1_250_000)
    with staging_server(bench.folder) as ours, counting_relay(urlsplit(ours.url).port or 0) as relay:
        paths = random_files(bench.folder / "job", count=_FILES, size=size, suffix=".jar")
        submission = _Submission(relay, paths=paths, cache=bench.folder / "cache", server=ours.pid)
        first = submission.first()
        sides = [Side(OURS, submission.warm), Side(COLD, submission.cold)]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title=f"Resubmission of {_FILES} files, {_FILES * size / 1e6:.0f} MB",
        size=0,
        samples=samples,
        figures={
            "requests": max(sample.counts["requests"] for sample in samples[OURS]),
            "bytes on the wire": median(sample.counts["bytes"] for sample in samples[OURS]),
            "bytes sent": median(sample.counts["sent"] for sample in samples[OURS]),
            "requests of the first submission": first.counts["requests"],
            "seconds of the first submission": first.seconds,
        },
        notes=(
            "No peer: spark-submit uploads every file again. Bytes: headers and bodies of HTTP, both directions.",
            "The first submission goes through the relay too, which slows it.",
        ),
    )


class _Submission:
    """One job that is submitted again and again."""

    def __init__(self, relay: Relay, *, paths: Sequence[Path], cache: Path, server: int) -> None:
        self._relay, self._cache, self._server = relay, cache, server
        jars = ",".join(str(path) for path in paths)
        self._command = [program("spark-staging"), "stage", "--jars", jars, "--name", "benchmark", "--output", "json"]

    def first(self) -> Sample:
        """Submit when the server has nothing yet."""
        sample, _ = self._once()
        return sample

    def warm(self) -> Sample:
        """Submit with the digests in the cache."""
        return self._resubmitted()

    def cold(self) -> Sample:
        """Submit with an empty cache; the next warm run finds it filled again."""
        shutil.rmtree(self._cache, ignore_errors=True)
        return self._resubmitted()

    def _resubmitted(self) -> Sample:
        sample, answer = self._once()
        if answer["bytes_staged"]:
            msg = f"{answer['bytes_staged']} bytes were uploaded again"
            raise RunFailed(msg)
        return sample

    def _once(self) -> tuple[Sample, dict[str, int]]:
        environment = {
            "SPARK_STAGING_URL": self._relay.url,
            "SPARK_STAGING_NAMESPACE": NAMESPACE,
            "SPARK_STAGING_CACHE_FOLDER": str(self._cache),
        }
        self._relay.reset()
        measured = measure(self._command, server=self._server, environment=environment)
        return Sample.of(measured, counts=self._counts()), _answer(measured)

    def _counts(self) -> dict[str, float]:
        relay = self._relay
        return {"requests": relay.requests, "bytes": relay.sent + relay.received, "sent": relay.sent}


def _answer(measured: Measured) -> dict[str, int]:
    answer: dict[str, int] = json.loads(measured.output)
    return answer
