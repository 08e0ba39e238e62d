"""What the log of a pod tells while it resolves: a line every few seconds, each retry, and a summary."""

import logging
from collections import Counter
from threading import Lock
from typing import Any, Final

from resolver.run import InFlight, Progress, Resolved
from staging_io.logs import fields
from staging_protocol.errors import StagingError

_EVERY: Final = 5.0
"""Seconds between two lines about progress."""

_SLOWEST: Final = 3
"""Files in flight that such a line names: those that were begun first."""

log = logging.getLogger("spark_staging.init")


class LogProgress:
    """An observer that writes lines, and counts for the last one."""

    def __init__(self) -> None:
        self._told = Progress(files=0, files_done=0, size=0, received=0, seconds=0.0)
        self._lock = Lock()
        self._retries = 0
        self._files: Counter[str] = Counter()
        self._sizes: Counter[str] = Counter()

    def progressed(self, progress: Progress) -> None:
        """Write a line when the last one is old."""
        seconds = progress.seconds - self._told.seconds
        if seconds < _EVERY:
            return
        rate = (progress.received - self._told.received) / seconds
        self._told = progress
        log.info(
            "resolving",
            extra=fields(
                files=progress.files, files_done=progress.files_done, size=progress.size, received=progress.received,
                seconds=round(progress.seconds, 1), bytes_per_second=round(rate),
                slowest=[_in_flight(one) for one in progress.in_flight[:_SLOWEST]],
            ),
        )  # fmt: skip

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        """Write a line."""
        with self._lock:
            self._retries += 1
        log.warning("trying again", extra=fields(uri=uri, why=error.detail, seconds=round(seconds, 1)))

    def resolved(self, resolved: Resolved) -> None:
        """Count; write a line for each dependency, when asked to."""
        log.debug("in place", extra=fields(uri=resolved.uri, path=resolved.path, reused=resolved.reused))
        if resolved.reused:
            return
        scheme = resolved.uri.partition(":")[0].lower()
        with self._lock:
            self._files[scheme] += 1
            self._sizes[scheme] += resolved.size

    def summary(self, *, seconds: float) -> dict[str, Any]:
        """Return what the last line tells besides the report: how fast it was, how often it failed, and from where."""
        with self._lock:
            sources = {
                scheme: {"files": files, "size": self._sizes[scheme]} for scheme, files in sorted(self._files.items())
            }
            rate = round(self._sizes.total() / seconds) if seconds > 0 else 0
            return {"bytes_per_second": rate, "retries": self._retries, "sources": sources}


def _in_flight(one: InFlight) -> dict[str, object]:
    return {"uri": one.uri, "size": one.size, "received": one.received, "seconds": round(one.seconds, 1)}
