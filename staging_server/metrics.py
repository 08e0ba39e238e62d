"""What Prometheus reads at `/metrics`.

Every label has few values: routes are templates (`/v1/namespaces/{namespace}/bundles`), never paths; namespaces,
bundles and callers are no labels.  Each application has a registry of its own, so that several can live in a process.
"""

from collections.abc import Mapping
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from staging_server.observer import Observer
from staging_server.settings.prometheus import shared_metrics
from staging_server.shared_metrics import SharedMetrics
from staging_server.watch_metrics import WatchMetrics

Together = Literal["livesum", "livemin", "mostrecent"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_DURATIONS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds, from a manifest to a 100 GB upload on a slow line; a histogram that tops out early hides the truth."""


class Metrics:
    """All metrics of one server; also the domain's `Observer`."""

    def __init__(self, *, version: str) -> None:
        self._registry = registry = CollectorRegistry()
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
        self._requests = Histogram(
            "sparkstaging_request_duration_seconds", "Requests by route, from the head to the last byte sent.",
            ("method", "route", "status"), buckets=_DURATIONS, registry=registry,
        )  # fmt: skip
        self._durations: dict[tuple[str, str, int], Histogram] = {}
        self._refusals = self._counter("refusals", "Requests that ended with an error, by its code.", "code")
        self._uploaded = self._counter("uploaded_bytes", "Bytes of blobs received, verified or not.")
        self._downloaded = self._counter("downloaded_bytes", "Bytes of files sent.")
        self._bundles = self._counter("bundles_created", "Bundles created.")
        self._ended = self._counter("bundles_ended", "Bundles ended, by reason.", "reason")
        created = self._counter("bundle_bytes", "Bytes of created bundles, held before or wanted.", "state")
        self._held, self._wanted = created.labels("held"), created.labels("wanted")
        self._blobs_stored = self._counter("blobs_stored", "Uploads verified and kept.")
        self._upload_failures = self._counter("upload_failures", "Uploads that failed, by code.", "code")
        self._commits = self._counter("group_commits", "Transactions of the writer.")
        self._committed = self._counter("group_committed_requests", "Requests made durable by the writer.")
        self._sweep_failures = self._counter("sweep_failures", "Sweeps that failed.")
        self._freed = self._counter("freed_bytes", "Bytes of blobs removed, by why they were given up.", "reason")
        self.uploads_in_flight = self._gauge("uploads_in_flight", "Uploads running now.")
        self._stored = self._gauge("stored_bytes", "Bytes of all blobs, as of the last look.", together="mostrecent")
        self._blobs = self._gauge("blobs", "Number of blobs, as of the last look.", together="mostrecent")
        self._open_uploads = self._gauge(
            "open_uploads", "Uploads in parts that were begun and not finished, as of the last look.",
            together="mostrecent",
        )  # fmt: skip
        self._open_upload_bytes = self._gauge(
            "open_upload_bytes", "Bytes of uploads in parts that are not finished, as of the last look.",
            together="mostrecent",
        )  # fmt: skip
        self._swept_at = self._gauge(
            "sweep_last_success_timestamp_seconds", "End of the last whole sweep.", together="mostrecent"
        )
        self._sweep_seconds = self._gauge(
            "sweep_duration_seconds", "Length of the last whole sweep.", together="mostrecent"
        )
        self._oldest_due = self._gauge(
            "oldest_unclaimed_seconds", "Time since the look at the longest overdue bundle was due.",
            together="mostrecent",
        )  # fmt: skip
        self._claims = Gauge(
            "sparkstaging_claims", "Bundles by the kind of claim that keeps them; one may have several.", ("kind",),
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._lead = self._gauge("lead", "1 in the process that watches and sweeps.")
        self._policy_refusals = self._counter(
            "policies_reload_failures", "New policies files that were not valid; the old policies stayed."
        )
        self.watches = WatchMetrics(registry)
        self._connections = self._gauge("connections", "Open connections, TLS handshakes included.")
        self._closed = self._counter("connections_closed", "Connections that the server closed, by reason.", "reason")
        self._certificate_ends = self._gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "End of the certificate in use; 0 without TLS.",
            together="livemin",
        )
        self._certificate_refusals = self._counter(
            "tls_reload_failures", "New certificates or keys that could not be used; the old ones stayed."
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"sparkstaging_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *, together: Together = "livesum") -> Gauge:
        """Return a gauge; `together` says what it is for several processes: their sum, or what was set last."""
        return Gauge(f"sparkstaging_{name}", text, registry=self._registry, multiprocess_mode=together)

    # --- HTTP

    def request_ended(self, method: str, route: str, status: int, *, seconds: float) -> None:
        """Count a request; `route` is a template."""
        key = (method, route, status)
        child = self._durations.get(key)
        if child is None:
            child = self._durations[key] = self._requests.labels(method, route, str(status))
        child.observe(seconds)

    def refused(self, code: str) -> None:
        """Count an error by its code."""
        self._refusals.labels(code).inc()

    def uploaded(self, size: int) -> None:
        """Count bytes of a blob that arrived."""
        self._uploaded.inc(size)

    def downloaded(self, size: int) -> None:
        """Count bytes of a file that were sent."""
        self._downloaded.inc(size)

    def connections(self, count: int) -> None:
        """Note how many connections are open."""
        self._connections.set(count)

    def connection_closed(self, *, reason: str) -> None:
        """Count a connection that the server closed: full, crowded-out, slow or handshake."""
        self._closed.labels(reason).inc()

    def certificate_taken(self, *, expires: float) -> None:
        """Note the end of the certificate in use."""
        self._certificate_ends.set(expires)

    def certificate_refused(self) -> None:
        """Count a new certificate that could not be used."""
        self._certificate_refusals.inc()

    def waiting(self, *, uploads: int, size: int) -> None:
        """Note the uploads in parts that are not finished, and their bytes."""
        self._open_uploads.set(uploads)
        self._open_upload_bytes.set(size)

    def process_died(self, process: int) -> None:
        """Forget what a child had at hand; what it has counted stays."""
        if self._shared is not None:
            self._shared.forget(process)

    def stored(self, *, blobs: int, size: int) -> None:
        """Note what the store holds."""
        self._blobs.set(blobs)
        self._stored.set(size)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format.  Reads /proc, so not for the event loop."""
        return generate_latest(self._shown)

    # --- the domain's Observer

    def bundle_created(self, *, held: int, wanted: int) -> None:
        """Count a bundle and its bytes."""
        self._bundles.inc()
        self._held.inc(held)
        self._wanted.inc(wanted)

    def bundle_ended(self, *, reason: str) -> None:
        """Count a bundle that ended."""
        self._ended.labels(reason).inc()

    def blob_stored(self, *, size: int, seconds: float) -> None:
        """Count an upload that was kept; its bytes and seconds are counted as a request."""
        del size, seconds
        self._blobs_stored.inc()

    def blob_removed(self, *, size: int, reason: str) -> None:
        """Count bytes that are gone."""
        self._freed.labels(reason).inc(size)

    def upload_failed(self, *, code: str) -> None:
        """Count an upload that failed."""
        self._upload_failures.labels(code).inc()

    def group_committed(self, *, requests: int, seconds: float) -> None:
        """Count a transaction of the writer."""
        del seconds
        self._commits.inc()
        self._committed.inc(requests)

    def sweep_done(self, *, seconds: float, ended: int, freed: int) -> None:
        """Note a whole sweep; bundles and bytes are counted one by one."""
        del ended, freed
        self._swept_at.set_to_current_time()
        self._sweep_seconds.set(seconds)

    def sweep_failed(self) -> None:
        """Count a sweep that ended early."""
        self._sweep_failures.inc()

    def oldest_due(self, *, seconds: float) -> None:
        """Note how late the sweep is."""
        self._oldest_due.set(seconds)

    def claims_counted(self, counts: Mapping[str, int]) -> None:
        """Note what keeps bundles."""
        for kind, count in counts.items():
            self._claims.labels(kind).set(count)

    def lead_held(self, *, held: bool) -> None:
        """Note whether this process watches and sweeps."""
        self._lead.set(held)

    def policies_refused(self) -> None:
        """Count a policies file that was not valid."""
        self._policy_refusals.inc()


def _is_observer(metrics: Metrics) -> Observer:
    return metrics
