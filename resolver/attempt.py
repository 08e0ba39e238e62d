"""One try at one file: its parts, its version, its digest while it arrives.

The first answer tells size and version; then the rest is divided into parts that any thread may fetch.  A part that
breaks off goes on where it stopped.  What one try cannot mend (the dependency changed, or is not what was promised)
ends it; whether there is another try is decided in `download`.
"""

import threading
from collections.abc import Callable

from resolver.hashing import FollowingHashing, Hashing, InlineHashing
from resolver.journal import Journal
from resolver.parts import Part, part_size_for
from resolver.plan import Download
from resolver.retry import Attempts
from resolver.run import Run
from resolver.sources.base import Reading, Source, Version
from staging_io.files import UnfinishedFile
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    DigestMismatch,
    SourceChanged,
    SourceUnavailable,
    TooManyRequests,
    TransientError,
    Unavailable,
)


class Attempt:
    """One try.  `fetch` is called by one thread a part; `digest` by the thread that fetched the last one."""

    def __init__(
        self, download: Download, *, source: Source, run: Run, journal: Journal, more: Callable[[list[Part]], None]
    ) -> None:
        """`more` is given the further parts, once, when they are known."""
        self._download = download
        self._source = source
        self._run = run
        self._journal = journal
        self._more = more
        self._lock = threading.Lock()
        self._size: int | None = None
        self._stated: Digest | None = None
        self._hashing: Hashing | None = None
        self._frontier_part = 0
        self._parts: list[Part] = [Part(0, self._first_stop())]
        self._open = 1
        self.version: Version | None = None
        self.abandoned = False
        self.file: UnfinishedFile = run.workspace.begin_file(download.path, keep=journal.has_parts)

    @property
    def first(self) -> Part:
        """The part to begin with."""
        return self._parts[0]

    @property
    def size(self) -> int:
        """Size of the file; known when all parts are done."""
        return self._size or 0

    def fetch(self, part: Part, buffer: memoryview) -> bool:
        """Bring one part; return whether it was the last one that was missing.

        Raises:
            SourceChanged, DigestMismatch: this try cannot succeed.
            StagingError: no try can.
        """
        attempts = Attempts(str(self._download.uri), self._run.settings.retry, self._run.clock, self._run.retrying)
        # Nothing is done before an answer came, not even an empty file.
        while not self.abandoned and (self._hashing is None or not part.is_done):
            try:
                self._read(part, buffer, attempts)
            except SourceChanged:
                raise
            except TransientError as error:
                if isinstance(error, TooManyRequests | Unavailable) or error.retry_after is not None:
                    self._run.parallelism.push_back()
                attempts.wait_after(error)
        return self._close(part)

    def digest(self) -> Digest:
        """Return the digest of the whole file.

        Raises:
            DigestMismatch: it is not the promised one, or not the one that the source states.
        """
        digest = Digest.of(b"") if self._hashing is None else self._hashing.result()
        expected = self._download.digest or self._stated
        if expected is not None and digest != expected:
            msg = f"{self._download.uri} has {digest}, expected {expected}"
            raise DigestMismatch(msg)
        return digest

    def abandon(self) -> None:
        """End this try; threads that are still at it notice soon."""
        self.abandoned = True
        if self._hashing is not None:
            self._hashing.abandon()
        self._run.workspace.discard_file(self.file)

    def _first_stop(self) -> int:
        size, smallest = self._download.size, self._run.settings.part_size
        return smallest if size is None else min(size, part_size_for(size, smallest=smallest))

    def _read(self, part: Part, buffer: memoryview, attempts: Attempts) -> None:
        # An empty range cannot be written as a Range header; the whole of an empty file is asked for instead.
        stop = part.stop if part.stop != part.at else None
        with self._source.read(self._download.uri, version=self.version, start=part.at, stop=stop) as reading:
            self._learn(part, reading)
            self._receive(part, reading, buffer, attempts)

    # --- what an answer tells

    def _learn(self, part: Part, reading: Reading) -> None:
        with self._lock:
            self._check(reading)
            if self._hashing is None:
                self._begin(part, reading)

    def _check(self, reading: Reading) -> None:
        uri, stat = self._download.uri, reading.stat
        promised = self._download.size if self._size is None else self._size
        if stat.size is not None and promised is not None and stat.size != promised:
            detail = f"{uri} has {stat.size} bytes, expected {promised}"
            raise (DigestMismatch(detail) if self._size is None else SourceChanged(detail))
        if self._hashing is not None and stat.version is not None and stat.version != self.version:
            msg = f"{uri} changed while it was downloaded"
            raise SourceChanged(msg)
        if stat.digest is not None and self._download.digest not in {None, stat.digest}:
            msg = f"the source says that {uri} has {stat.digest}, expected {self._download.digest}"
            raise DigestMismatch(msg)
        self._stated = self._stated or stat.digest

    def _begin(self, part: Part, reading: Reading) -> None:
        size, settings = reading.stat.size, self._run.settings
        self.version, self._size = reading.stat.version, size
        if size is None or (reading.start == 0 and reading.stop == size):
            part.stop = size  # everything comes with this answer
        further = self._further(size) if size is not None else []
        self._parts += further
        if size is not None and size <= settings.part_size:
            self._hashing = InlineHashing()
            return
        if size is not None:
            self.file.reserve(size)
        self._journal.begin(version=self.version, size=size, part_size=settings.part_size)
        for other in self._parts:
            if other.stop is not None and self._journal.has(other.start):
                other.at = other.stop
        self._open = 1 + sum(not other.is_done for other in further)
        self._hashing = FollowingHashing(self.file, frontier=self._frontier, size=lambda: self._size)
        self._more([other for other in further if not other.is_done])

    def _further(self, size: int) -> list[Part]:
        start, step = self._parts[0].stop, part_size_for(size, smallest=self._run.settings.part_size)
        return [] if start is None else [Part(at, min(at + step, size)) for at in range(start, size, step)]

    # --- bytes

    def _receive(self, part: Part, reading: Reading, buffer: memoryview, attempts: Attempts) -> None:
        self._skip(part.at - reading.start, reading, buffer)
        stop = part.stop if reading.stop is None or part.stop is None else min(part.stop, reading.stop)
        while stop is None or part.at < stop:
            count = reading.read_into(buffer if stop is None else buffer[: stop - part.at])
            if count == 0:
                break
            self._take(part, buffer[:count])
            attempts.progressed()
            if self.abandoned:
                return
        if stop is None:
            self._ends_at(part)
        elif part.at < stop:
            msg = f"{self._download.uri} broke off at byte {part.at}"
            raise SourceUnavailable(msg)

    def _take(self, part: Part, data: memoryview) -> None:
        self.file.write(data, part.at)
        part.at += len(data)
        if self._hashing is not None:
            self._hashing.wrote(data)
        self._run.received(len(data))
        self._run.clock.check()
        if self._download.size is not None and part.at > self._download.size:
            msg = f"{self._download.uri} has more than the expected {self._download.size} bytes"
            raise DigestMismatch(msg)

    def _skip(self, count: int, reading: Reading, buffer: memoryview) -> None:
        """Read over what we have: a source without ranges begins at the start again."""
        while count > 0:
            got = reading.read_into(buffer[:count])
            if got == 0:
                msg = f"{self._download.uri} broke off"
                raise SourceUnavailable(msg)
            count -= got
            self._run.clock.check()

    def _ends_at(self, part: Part) -> None:
        """The source did not announce a size: the end of the bytes is the end of the file."""
        with self._lock:
            part.stop = self._size = part.at
        if self._download.size not in {None, self._size}:
            msg = f"{self._download.uri} has {self._size} bytes, expected {self._download.size}"
            raise DigestMismatch(msg)

    # --- parts

    def _frontier(self) -> int:
        """Return the position before which everything was written; asked by the follower only."""
        while self._frontier_part < len(self._parts) - 1 and self._parts[self._frontier_part].is_done:
            self._frontier_part += 1
        return self._parts[self._frontier_part].at

    def _close(self, part: Part) -> bool:
        if self.abandoned:
            return False
        self._journal.done(part.start, file=self.file)
        with self._lock:
            self._open -= 1
            return self._open == 0
