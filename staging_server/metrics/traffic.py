"""What Prometheus reads about requests, their bytes, connections and the certificate."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_DURATIONS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds, from a manifest to a 100 GB upload on a slow line; a histogram that tops out early hides the truth."""


class TrafficMetrics:
    """Counts at the edge, where bytes come and go; a gauge of several processes is their sum."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"sparkstaging_{name}", text, labels, registry=registry)

        self._requests = Histogram(
            "sparkstaging_request_duration_seconds", "Requests by route, from the head to the last byte sent.",
            ("method", "route", "status"), buckets=_DURATIONS, registry=registry,
        )  # fmt: skip
        self._durations: dict[tuple[str, str, int], Histogram] = {}
        self._refusals = counter("refusals", "Requests that ended with an error, by its code.", "code")
        self._uploaded = counter("uploaded_bytes", "Bytes of blobs received, verified or not.")
        self._downloaded = counter("downloaded_bytes", "Bytes of files sent.")
        self.uploads_in_flight = Gauge(
            "sparkstaging_uploads_in_flight", "Uploads running now.", registry=registry, multiprocess_mode="livesum"
        )
        self._connections = Gauge(
            "sparkstaging_connections", "Open connections, TLS handshakes included.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._closed = counter("connections_closed", "Connections that the server closed, by reason.", "reason")
        self._certificate_ends = Gauge(
            "sparkstaging_tls_certificate_expiry_timestamp_seconds",
            "End of the certificate in use; 0 without TLS.", registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self._certificate_refusals = counter(
            "tls_reload_failures", "New certificates or keys that could not be used; the old ones stayed."
        )

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
