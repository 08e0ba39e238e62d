"""Latencies of small requests at fixed times, with the generator `clients/latency.py`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

from benchmarks.clients import latency
from benchmarks.measure import Sample
from benchmarks.processes import RunFailed, measure


class Asked:
    """A server that is asked small requests; the latencies of all its runs are kept, in milliseconds by kind."""

    def __init__(self, *, pid: int, url: str, kinds: Mapping[str, str], rate: float) -> None:
        """Ask each of `kinds` (a request by its name) `rate` times a second."""
        self._pid, self._url, self._kinds, self._rate = pid, url, kinds, rate
        self._runs: list[Mapping[str, list[float]]] = []

    def once(self, *, seconds: float) -> Sample:
        """Ask for some seconds; the sample's own seconds are the 99th percentile of all kinds.

        Raises:
            RunFailed: a request was not answered as it should.
        """
        parts = urlsplit(self._url)
        task = {
            "host": parts.hostname, "port": parts.port, "rate": self._rate, "seconds": seconds,
            "kinds": dict(self._kinds),
        }  # fmt: skip
        program = [sys.executable, "-I", str(Path(latency.__file__))]
        measured = measure(program, server=self._pid, stdin=json.dumps(task).encode())
        result = json.loads(measured.output)
        if result["errors"]:
            msg = f"{result['errors']} small requests failed"
            raise RunFailed(msg)
        self._runs.append(result["latencies"])
        together = [value for values in result["latencies"].values() for value in values]
        return Sample.of(measured, seconds=_percentile(together, 99) / 1000)

    def figures(self, side: str) -> dict[str, float]:
        """Return p50, p99 and max of each kind, over all runs but the first, which warmed up."""
        found = dict[str, float]()
        for kind in self._kinds:
            values = [value for run in self._runs[1:] for value in run[kind]]
            found[f"{side}: {kind}, p50 ms"] = _percentile(values, 50)
            found[f"{side}: {kind}, p99 ms"] = _percentile(values, 99)
            found[f"{side}: {kind}, max ms"] = max(values)
        return found


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
