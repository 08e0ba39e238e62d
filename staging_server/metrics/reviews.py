"""What Prometheus reads about the questions to Kubernetes that callers cause: who is it, and what may they."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from staging_server.auth.observer import Kind, Result, ReviewObserver

_DURATIONS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
"""Seconds, from an API server nearby to the time-out of a request."""


class ReviewMetrics:
    """A `ReviewObserver` that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reviews = Histogram(
            "sparkstaging_review_duration_seconds",
            "Questions to Kubernetes about callers: token (who is it) and access (may they), by their result.",
            ("kind", "result"), buckets=_DURATIONS, registry=registry,
        )  # fmt: skip
        self._spared = Counter(
            "sparkstaging_reviews_spared",
            "Questions about callers whose answer was known.", ("kind",), registry=registry,
        )  # fmt: skip
        self._limited = Counter(
            "sparkstaging_reviews_limited",
            "Questions about callers that were not asked, because too many are; the caller got 429.", ("kind",),
            registry=registry,
        )  # fmt: skip

    def reviewed(self, kind: Kind, /, *, result: Result, seconds: float) -> None:
        """Count a question."""
        self._reviews.labels(kind, result).observe(seconds)

    def review_spared(self, kind: Kind, /) -> None:
        """Count an answer that cost nothing."""
        self._spared.labels(kind).inc()

    def review_limited(self, kind: Kind, /) -> None:
        """Count a refusal."""
        self._limited.labels(kind).inc()


def _is_observer(metrics: ReviewMetrics) -> ReviewObserver:
    return metrics
