"""What Prometheus reads about bundles, blobs and the life of both: the domain's `Observer`."""

from collections.abc import Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from staging_server.observer import Observer

Together = Literal["livesum", "mostrecent"]


class _Stored:
    """What the store holds, as of the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return _gauge(registry, name, f"{text}, as of the last look.", together="mostrecent")

        self.bytes = gauge("stored_bytes", "Bytes of all blobs")
        self.blobs = gauge("blobs", "Number of blobs")
        self.open_uploads = gauge("open_uploads", "Uploads in parts that were begun and not finished")
        self.open_upload_bytes = gauge("open_upload_bytes", "Bytes of uploads in parts that are not finished")


class _Sweeps:
    """How sweeps went; one process of all sweeps."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return _gauge(registry, name, text, together="mostrecent")

        self.at = gauge("sweep_last_success_timestamp_seconds", "End of the last whole sweep.")
        self.seconds = gauge("sweep_duration_seconds", "Length of the last whole sweep.")
        self.oldest_due = gauge(
            "oldest_unclaimed_seconds", "Time since the look at the longest overdue bundle was due."
        )
        self.failures = _counter(registry, "sweep_failures", "Sweeps that failed.")
        self.freed = _counter(registry, "freed_bytes", "Bytes of blobs removed, by why they were given up.", "reason")
        self.lead = _gauge(registry, "lead", "1 in the process that watches and sweeps.", together="livesum")


class LifeMetrics:
    """An `Observer` that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._bundles = _counter(registry, "bundles_created", "Bundles created.")
        self._ended = _counter(registry, "bundles_ended", "Bundles ended, by reason.", "reason")
        created = _counter(registry, "bundle_bytes", "Bytes of created bundles, held before or wanted.", "state")
        self._held, self._wanted = created.labels("held"), created.labels("wanted")
        self._blobs_stored = _counter(registry, "blobs_stored", "Uploads verified and kept.")
        self._upload_failures = _counter(registry, "upload_failures", "Uploads that failed, by code.", "code")
        self._commits = _counter(registry, "group_commits", "Transactions of the writer.")
        self._committed = _counter(registry, "group_committed_requests", "Requests made durable by the writer.")
        self._claims = Gauge(
            "sparkstaging_claims", "Bundles by the kind of claim that keeps them; one may have several.", ("kind",),
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._policy_refusals = _counter(
            registry, "policies_reload_failures", "New policies files that were not valid; the old policies stayed."
        )
        self._stored = _Stored(registry)
        self._sweeps = _Sweeps(registry)

    def waiting(self, *, uploads: int, size: int) -> None:
        """Note the uploads in parts that are not finished, and their bytes."""
        self._stored.open_uploads.set(uploads)
        self._stored.open_upload_bytes.set(size)

    def stored(self, *, blobs: int, size: int) -> None:
        """Note what the store holds."""
        self._stored.blobs.set(blobs)
        self._stored.bytes.set(size)

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
        self._sweeps.freed.labels(reason).inc(size)

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
        self._sweeps.at.set_to_current_time()
        self._sweeps.seconds.set(seconds)

    def sweep_failed(self) -> None:
        """Count a sweep that ended early."""
        self._sweeps.failures.inc()

    def oldest_due(self, *, seconds: float) -> None:
        """Note how late the sweep is."""
        self._sweeps.oldest_due.set(seconds)

    def claims_counted(self, counts: Mapping[str, int]) -> None:
        """Note what keeps bundles."""
        for kind, count in counts.items():
            self._claims.labels(kind).set(count)

    def lead_held(self, *, held: bool) -> None:
        """Note whether this process watches and sweeps."""
        self._sweeps.lead.set(held)

    def policies_refused(self) -> None:
        """Count a policies file that was not valid."""
        self._policy_refusals.inc()


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(f"sparkstaging_{name}", text, labels, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, *, together: Together) -> Gauge:
    """Return a gauge; `together` says what it is for several processes: their sum, or what was set last."""
    return Gauge(f"sparkstaging_{name}", text, registry=registry, multiprocess_mode=together)


def _is_observer(metrics: LifeMetrics) -> Observer:
    return metrics
