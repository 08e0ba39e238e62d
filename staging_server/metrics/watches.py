"""What Prometheus reads about the watches of Kubernetes: when each was heard last, and whether what it tells is whole.

The label is the kind alone: where several namespaces are watched one by one, the worst of them counts.  Only the
process with the lead watches, so rules take the `max by (kind)` of all replicas.
"""

import time
from collections import Counter as Tally
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from staging_server.cluster.observer import WatchObserver

_NEVER: Final = 0.0


class WatchMetrics:
    """A `WatchObserver` that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._heard_at = Gauge(
            "sparkstaging_watch_last_heard_timestamp_seconds",
            "When the API server last spoke on the watch of this kind; 0 while nobody watches it.",
            ("kind",), registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._known = Gauge(
            "sparkstaging_watch_known",
            "1 while all of this kind is known; with 0 nothing that it may claim is deleted.",
            ("kind",), registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._lists = Counter(
            "sparkstaging_watch_lists", "Whole lists of a kind.", ("kind",), registry=registry
        )  # fmt: skip
        self._breaks = Counter(
            "sparkstaging_watch_breaks", "Watches that broke, by the code of the error.", ("kind", "code"),
            registry=registry,
        )  # fmt: skip
        self._heard: dict[tuple[str, str], float] = {}
        self._whole: dict[tuple[str, str], bool] = {}

    def watch_heard(self, kind: str, namespace: str, /) -> None:
        """Note the time."""
        self._heard[kind, namespace] = time.time()
        self._show(kind)

    def watch_listed(self, kind: str, namespace: str, /, *, objects: int, seconds: float) -> None:
        """Count a list."""
        del namespace, objects, seconds
        self._lists.labels(kind).inc()

    def watch_broken(self, kind: str, namespace: str, /, *, code: str) -> None:
        """Count the first sign of a break."""
        if self._whole.get((kind, namespace), True):
            self._breaks.labels(kind, code).inc()
        self._whole[kind, namespace] = False
        self._show(kind)

    def watch_whole(self, kind: str, namespace: str, /) -> None:
        """Note that all is known."""
        self._whole[kind, namespace] = True
        self._show(kind)

    def watch_closed(self, kind: str, namespace: str, /) -> None:
        """Forget one watch of the kind."""
        self._heard.pop((kind, namespace), None)
        self._whole.pop((kind, namespace), None)
        self._show(kind)

    def _show(self, kind: str) -> None:
        heard = [at for (of, _), at in self._heard.items() if of == kind]
        states = Tally(is_whole for (of, _), is_whole in self._whole.items() if of == kind)
        self._heard_at.labels(kind).set(min(heard, default=_NEVER))
        self._known.labels(kind).set(states[True] > 0 and states[False] == 0)


def _is_observer(metrics: WatchMetrics) -> WatchObserver:
    return metrics
