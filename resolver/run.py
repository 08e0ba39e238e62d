"""What all downloads of one run share: settings, clock, threads, hidden files, counts, and who watches."""

import os
import threading
from typing import Protocol

import msgspec

from resolver.crew import Crew
from resolver.parallelism import Parallelism
from resolver.retry import Clock
from resolver.settings import ResolveSettings
from resolver.workspace import Workspace
from staging_protocol.digests import Digest
from staging_protocol.errors import StagingError
from staging_protocol.manifest import Kind


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency that is in its place.

    `digest` and `size` are of the file as it is stored, before unpacking; for `local:` dependencies there is no digest.
    `reused` says that it was whole already and no byte of it was moved.
    """

    uri: str
    kind: Kind
    target: str
    path: str
    digest: Digest | None
    size: int
    seconds: float
    reused: bool


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is.  `size` is what is to come as far as it is known; `received` counts bytes from sources."""

    files: int
    files_done: int
    size: int
    received: int
    seconds: float


class Observer(Protocol):
    """Watches a run.  Its methods must return soon, and must not raise."""

    def progressed(self, progress: Progress) -> None:
        """See how far it is; called by the thread that resolves, every `progress_interval` and at the end."""

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        """Learn that `uri` is tried again after `seconds`; called by any thread."""

    def resolved(self, resolved: Resolved) -> None:
        """Learn that a dependency is in its place; called by any thread."""


class Silent:
    """An observer that does nothing."""

    def progressed(self, progress: Progress) -> None:
        """Do nothing."""

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        """Do nothing."""

    def resolved(self, resolved: Resolved) -> None:
        """Do nothing."""


class Run:
    """The shared parts of one run; its counters may be moved by any thread."""

    def __init__(self, settings: ResolveSettings, *, files: int, clock: Clock, observer: Observer) -> None:
        self.settings = settings
        self.clock = clock
        self.observer = observer
        self.parallelism = Parallelism(maximum=settings.connections, processors=os.cpu_count() or 1, files=files)
        self.crew = Crew(parallelism=self.parallelism, buffer_size=settings.buffer_size)
        self.workspace = Workspace(durable=settings.durable, keep_unfinished=settings.journal)
        self._lock = threading.Lock()
        self._received = 0
        self._resolved: list[Resolved] = []

    def received(self, size: int) -> None:
        """Count bytes from a source."""
        with self._lock:
            self._received += size

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        """Tell the observer about a retry."""
        self.observer.retrying(uri, error, seconds)

    def resolved(self, resolved: Resolved) -> None:
        """Note that a dependency is in its place."""
        with self._lock:
            self._resolved.append(resolved)
        self.observer.resolved(resolved)

    @property
    def counts(self) -> tuple[int, int]:
        """Bytes received, and files done."""
        with self._lock:
            return self._received, len(self._resolved)

    def all_resolved(self) -> dict[str, Resolved]:
        """Return everything that is in its place, by final path."""
        with self._lock:
            return {resolved.path: resolved for resolved in self._resolved}


_: type[Observer] = Silent
