"""What Prometheus reads at `/metrics`.

    TrafficMetrics   requests, bytes, connections          WatchMetrics    watches of Kubernetes
    LifeMetrics      bundles, blobs, sweeps                ReviewMetrics   questions about callers

Every label has few values: routes are templates (`/v1/namespaces/{namespace}/bundles`), never paths; namespaces,
bundles and callers are no labels.  Each application has a registry of its own, so that several can live in a process.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Info
from prometheus_client.exposition import generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from staging_server.metrics.life import LifeMetrics
from staging_server.metrics.reviews import ReviewMetrics
from staging_server.metrics.shared import SharedMetrics
from staging_server.metrics.traffic import TrafficMetrics
from staging_server.metrics.watches import WatchMetrics
from staging_server.settings.prometheus import shared_metrics

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(TrafficMetrics, LifeMetrics):
    """All metrics of one server."""

    def __init__(self, *, version: str) -> None:
        registry = CollectorRegistry()
        folder = shared_metrics()
        self._shared = None if folder is None else SharedMetrics(folder)
        # What /metrics shows: our own numbers, or the sum of all processes'.
        self._shown = shown = registry if folder is None else CollectorRegistry()
        if self._shared is None:
            ProcessCollector(registry=shown)
        else:
            shown.register(self._shared)
        PlatformCollector(registry=shown)
        Info("sparkstaging_build", "Version of the server.", registry=shown).info({"version": version})
        TrafficMetrics.__init__(self, registry)
        LifeMetrics.__init__(self, registry)
        self.watches = WatchMetrics(registry)
        self.reviews = ReviewMetrics(registry)

    def process_died(self, process: int) -> None:
        """Forget what a child had at hand; what it has counted stays."""
        if self._shared is not None:
            self._shared.forget(process)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format.  Reads /proc, so not for the event loop."""
        return generate_latest(self._shown)
