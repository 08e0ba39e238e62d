"""The driver's log on standard output while somebody waits for the driver: by a thread of its own."""

import sys
import threading
from collections.abc import Callable
from typing import Final

from staging_protocol.errors import StagingError
from submission.jobs.following import lines_of
from submission.kube.api import KubeApi

_PATIENCE: Final = 10.0
"""Seconds without a line after which the rest is given up, once the driver has ended."""


class DriverLog:
    """Writes the log; `start` may be called again and again."""

    def __init__(self, api: KubeApi, *, namespace: str, pod: str, container: str, say: Callable[[str], None]) -> None:
        self._api = api
        self._namespace = namespace
        self._pod = pod
        self._container = container
        self._say = say
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._is_left = threading.Event()
        self._written = 0

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            # A daemon: a log that is silent must not keep the program.
            self._thread = threading.Thread(target=self._follow, name="driver-log", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Wait for the rest, as long as lines come: the container has ended, so its log does."""
        self._is_over.set()
        before = -1
        while self._thread is not None and self._thread.is_alive() and before != self._written:
            before = self._written
            self._thread.join(_PATIENCE)
        if self._thread is not None and self._thread.is_alive():
            self._is_left.set()
            self._say(f"the rest of its log does not come; see: spark-staging logs {self._pod} -n {self._namespace}")

    def leave(self) -> None:
        """Write no more: nobody waits for the driver any longer."""
        self._is_left.set()

    def _follow(self) -> None:
        try:
            for line in lines_of(
                self._api,
                namespace=self._namespace,
                pod=self._pod,
                container=self._container,
                is_over=self._is_over.is_set,
            ):
                if self._is_left.is_set():
                    return
                sys.stdout.buffer.write(line + b"\n")
                sys.stdout.buffer.flush()
                self._written += 1
        except StagingError as error:
            if not self._is_left.is_set():
                self._say(f"the driver's log cannot be shown any more: {error.detail}")
        except (BrokenPipeError, ValueError):
            return  # nobody reads it any more
