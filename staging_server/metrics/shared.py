"""Metrics of several processes, added up by whichever is asked: prometheus-client's multi-process mode.

Each process counts in files of its own in one folder (`metrics_folder`), which is set before prometheus-client is
imported, and read as a whole for `/metrics`.  What a process had counted before it was killed is still there.  Gauges
of processes that have ended are dropped (`forget`).
"""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_LIVE = "gauge_livesum_*.db"
"""Every process has a gauge of this kind, in a file named by its id; `forget` removes it."""


class SharedMetrics:
    """The sum of all processes, as a collector; CPU time, memory and files for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sum: Collector = MultiProcessCollector(None, path=str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics.  Reads files."""
        yield from self._sum.collect()
        of_processes: dict[str, Metric] = {}
        for path in sorted(self._folder.glob(_LIVE)):
            _add_process(of_processes, int(path.stem.rpartition("_")[2]))
        yield from of_processes.values()

    def forget(self, process: int) -> None:
        """Drop the gauges of a process that has ended."""
        mark_process_dead(process, path=str(self._folder))  # type: ignore[no-untyped-call]


def _add_process(found: dict[str, Metric], process: int) -> None:
    for metric in ProcessCollector(pid=lambda: process, registry=CollectorRegistry()).collect():
        known = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
        for sample in metric.samples:
            known.add_sample(sample.name, {**sample.labels, "pid": str(process)}, sample.value)
