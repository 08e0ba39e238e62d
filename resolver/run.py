"""What all downloads of one run share: settings, clock, threads, hidden files, counts, and who watches."""

import os
import threading
from typing import Final, Protocol

import msgspec

from resolver.crew import Crew
from resolver.parallelism import Parallelism
from resolver.records import Records
from resolver.retry import Clock
from resolver.settings import ResolveSettings
from resolver.workspace import Workspace
from staging_protocol.digests import Digest
from staging_protocol.errors import StagingError
from staging_protocol.manifest import Kind


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency that is in its place.

    `digest` and `size` are of the file as it is stored, before unpacking.  There is no digest for `local:`
    dependencies, nor where a cheaper checksum of the source was verified instead (unless settings ask for all digests).
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


MAX_IN_FLIGHT: Final = 32
"""Files that progress tells of: more than connections, of which 16 is the usual number."""


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency that is being fetched: its first request is on its way, and it is not in its place yet.

    `uri` and `target` are as in `Resolved`; `received` counts the bytes of it that are written, those of an earlier run
    included; `seconds` is the time since it began.
    """

    uri: str
    target: str
    size: int | None
    received: int
    seconds: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is.

    `size` is what is to come as far as it is known by now; `received` counts bytes from sources.  `in_flight` has the
    files that are under way, the one that began first at the beginning, and not more than `MAX_IN_FLIGHT` of them.
    """

    files: int
    files_done: int
    size: int
    received: int
    seconds: float
    in_flight: tuple[InFlight, ...] = ()


class Flying(Protocol):
    """A download that is under way."""

    @property
    def in_flight(self) -> InFlight:
        """How far it is; asked by another thread than those that fetch it, without a lock."""

    def split(self) -> bool:
        """Add a task that takes over a share of what arrives slowly; False when there is nothing like that."""

    def end(self) -> None:
        """Let its threads go: the run is over."""


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
    """The shared parts of one run; its counters may be moved by any thread.

    `in_flight` and `sizes` are by final path: what is under way, and the sizes that only the sources knew.
    """

    def __init__(self, settings: ResolveSettings, *, files: int, clock: Clock, observer: Observer) -> None:
        self.settings = settings
        self.clock = clock
        self.observer = observer
        self.parallelism = Parallelism(maximum=settings.connections, processors=os.cpu_count() or 1, files=files)
        self.crew = Crew(parallelism=self.parallelism, buffer_size=settings.buffer_size)
        self.workspace = Workspace(durable=settings.durable, keep_unfinished=settings.journal)
        self.in_flight: dict[str, Flying] = {}
        self.sizes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._received = 0
        self._resolved: list[Resolved] = []
        self._records: dict[str, Records] = {}

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

    def records_of(self, folder: str) -> Records:
        """Return what is remembered of the files in `folder`."""
        with self._lock:
            if folder not in self._records:
                self._records[folder] = Records(folder, durable=self.settings.durable)
            return self._records[folder]

    def share_out(self) -> None:
        """Give threads that could be hired, but have no task, a share of what arrives slowly."""
        for flying in tuple(self.in_flight.values()):
            while self.crew.has_room and flying.split():
                pass

    def end(self) -> None:
        """Let all threads go; nothing more is remembered."""
        for flying in tuple(self.in_flight.values()):
            flying.end()
        with self._lock:
            for records in self._records.values():
                records.end()

    def progress(self, *, files: int, size: int, seconds: float) -> Progress:
        """Return how far the run is, of so many files and bytes that the manifest knows of."""
        received, done = self.counts
        flying = tuple(self.in_flight.values())[:MAX_IN_FLIGHT]
        return Progress(
            files=files, files_done=done, size=size + sum(tuple(self.sizes.values())), received=received,
            seconds=seconds, in_flight=tuple(one.in_flight for one in flying),
        )  # fmt: skip

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
