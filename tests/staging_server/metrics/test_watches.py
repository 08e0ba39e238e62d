"""The metrics of watches: the worst of several namespaces counts, and a closed watch tells nothing."""

import pytest
from prometheus_client import CollectorRegistry

from staging_server.metrics.watches import WatchMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> WatchMetrics:
    return WatchMetrics(registry)


def test_a_kind_is_known_when_it_is_known_in_all_namespaces(metrics: WatchMetrics, registry: CollectorRegistry) -> None:
    metrics.watch_whole("pods", "a")
    metrics.watch_whole("pods", "b")
    assert _known(registry, "pods") == 1
    metrics.watch_broken("pods", "b", code="denied")
    assert _known(registry, "pods") == 0
    metrics.watch_whole("pods", "b")
    assert _known(registry, "pods") == 1


def test_a_break_that_is_told_again_counts_once(metrics: WatchMetrics, registry: CollectorRegistry) -> None:
    metrics.watch_whole("jobs", "")
    metrics.watch_broken("jobs", "", code="unavailable")
    metrics.watch_broken("jobs", "", code="denied")
    assert registry.get_sample_value("sparkstaging_watch_breaks_total", {"kind": "jobs", "code": "unavailable"}) == 1
    assert registry.get_sample_value("sparkstaging_watch_breaks_total", {"kind": "jobs", "code": "denied"}) is None


def test_the_namespace_that_was_heard_longest_ago_counts(
    metrics: WatchMetrics, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for namespace, at in (("a", 1_000.0), ("b", 2_000.0)):
        monkeypatch.setattr("time.time", lambda at=at: at)
        metrics.watch_heard("pods", namespace)
    assert _heard(registry, "pods") == 1_000
    metrics.watch_closed("pods", "a")
    assert _heard(registry, "pods") == 2_000


def test_a_closed_watch_is_neither_known_nor_heard(metrics: WatchMetrics, registry: CollectorRegistry) -> None:
    metrics.watch_heard("pods", "")
    metrics.watch_whole("pods", "")
    metrics.watch_closed("pods", "")
    assert (_known(registry, "pods"), _heard(registry, "pods")) == (0, 0)


def _known(registry: CollectorRegistry, kind: str) -> float | None:
    return registry.get_sample_value("sparkstaging_watch_known", {"kind": kind})


def _heard(registry: CollectorRegistry, kind: str) -> float | None:
    return registry.get_sample_value("sparkstaging_watch_last_heard_timestamp_seconds", {"kind": kind})
