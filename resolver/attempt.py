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
from resolver.sources.base import Reading, Source, Stat, Version
from staging_io.files import UnfinishedFile
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    DigestMismatch,
    InvalidRequest,
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
        self._parts: list[Part] = self._parts_on_disk() or [Part(0, self._first_stop())]
        self._open = 1
        self.version: Version | None = None
        self.abandoned = False
        self.file: UnfinishedFile = run.workspace.begin_file(download.path, keep=journal.has_parts)

    @property
    def first(self) -> Part:
        """The part to begin with."""
        return next((part for part in self._parts if not part.is_done), self._parts[0])

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

    def _parts_on_disk(self) -> list[Part]:
        """Return all parts, when an earlier run has left some of them."""
        parts = [] if self._journal.size is None else self._divided(0, self._journal.size)
        for part in parts:
            part.at = part.stop if part.stop is not None and self._journal.has(part.start) else part.start
        return parts

    def _first_stop(self) -> int:
        size, smallest = self._download.size, self._run.settings.part_size
        return smallest if size is None else min(size, part_size_for(size, smallest=smallest))

    def _read(self, part: Part, buffer: memoryview, attempts: Attempts) -> None:
        if part.is_done and self._journal.has_parts:
            # Everything is there already; what is left to ask is whether it still belongs together.
            self._learn(part, self._source.stat(self._download.uri))
            return
        # The whole is asked for without a range: servers answer that faster, and an empty one could not be written.
        is_whole = part.at == 0 and part.stop == self._download.size
        stop = None if is_whole else part.stop
        with self._source.read(self._download.uri, version=self.version, start=part.at, stop=stop) as reading:
            self._check_end(reading)
            self._learn(part, reading.stat, is_whole=reading.start == 0 and reading.stop == reading.stat.size)
            self._receive(part, reading, buffer, attempts)

    # --- what an answer tells

    def _learn(self, part: Part, stat: Stat, *, is_whole: bool = False) -> None:
        with self._lock:
            self._check(stat)
            if self._hashing is None:
                self._begin(part, stat, is_whole=is_whole)

    def _check(self, stat: Stat) -> None:
        uri = self._download.uri
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

    def _check_end(self, reading: Reading) -> None:
        known = self._download.digest or self._stated or reading.stat.digest
        if not reading.says_its_end and known is None and self._download.size is None and self._size is None:
            msg = f"{self._download.uri} comes without a size: nobody can tell whether it is whole; name its digest"
            raise InvalidRequest(msg)

    def _begin(self, part: Part, stat: Stat, *, is_whole: bool) -> None:
        size, smallest = stat.size, self._run.settings.part_size
        self.version, self._size = stat.version, size
        in_one_piece = size is not None and size <= smallest
        if not in_one_piece or self._journal.has_parts:
            self._journal.begin(version=self.version, size=size, part_size=smallest)
        further = [other for other in self._further(part, size, is_whole=is_whole) if not other.is_done]
        if in_one_piece:
            self._hashing = InlineHashing()
            return
        if size is not None:
            self.file.reserve(size)
        self._open = 1 + len(further)
        self._hashing = FollowingHashing(self.file, frontier=self._frontier, size=lambda: self._size)
        self._more(further)

    def _further(self, part: Part, size: int | None, *, is_whole: bool) -> list[Part]:
        """Return what is to come besides `part`, now that the size is known or known to be unknown."""
        if self._journal.has_parts:
            return [other for other in self._parts if other is not part]
        if size is None or is_whole:
            part.stop = size  # everything comes with this answer
        further = [] if size is None or part.stop is None else self._divided(part.stop, size)
        self._parts += further
        return further

    def _divided(self, start: int, size: int) -> list[Part]:
        step = part_size_for(size, smallest=self._run.settings.part_size)
        return [Part(at, min(at + step, size)) for at in range(start, size, step)]

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
