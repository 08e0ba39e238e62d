"""One try at one file: its parts, its version, its checksum while it arrives.

The first answer tells size and version; then the rest is divided into parts that any thread may fetch.  A part that
breaks off goes on where it stopped.  What one try cannot mend (the dependency changed, or is not what was promised)
ends it; whether there is another try is decided in `download`.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from resolver.checksums import Sums, check_for
from resolver.facts import Facts
from resolver.hashing import FollowingHashing, Hashing, InlineHashing
from resolver.journal import Journal
from resolver.parts import Part, Parts
from resolver.plan import Download
from resolver.retry import Attempts, persistently
from resolver.run import Run
from resolver.sources.base import Reading, Source, Stat, Version
from resolver.whole import Fetched, First
from staging_io.files import UnfinishedFile
from staging_protocol.errors import SourceChanged, SourceUnavailable, TooManyRequests, TransientError, Unavailable


class Attempt:
    """One try.  `fetch` is called by one thread a part; `verify` by the thread that fetched the last one."""

    def __init__(
        self,
        download: Download,
        *,
        source: Source,
        run: Run,
        journal: Journal,
        more: Callable[[list[Part]], None],
        first: First | None = None,
    ) -> None:
        """`more` is given the further parts, once, when they are known; `first` is read before anything is asked."""
        self._download = download
        self._source = source
        self._run = run
        self._journal = journal
        self._more = more
        self._first = first
        self._lock = threading.Lock()
        self._facts = Facts(download)
        self._check = check_for(Stat(size=0), digest=download.digest)
        self._hashing: Hashing | None = None
        self.parts = Parts(
            promised=download.size, smallest=run.settings.part_size, size=journal.size, done=journal.parts
        )
        self.abandoned = False
        self.file: UnfinishedFile = run.workspace.begin_file(download.path, keep=journal.has_parts)

    @property
    def size(self) -> int | None:
        """Size of the file; known when all parts are done."""
        return self._facts.size

    @property
    def version(self) -> Version | None:
        """Version that the first answer named."""
        return None if self._facts.stat is None else self._facts.stat.version

    def fetch(self, part: Part, buffer: memoryview) -> bool:
        """Bring one part; return whether it was the last one that was missing.

        Raises:
            SourceChanged, DigestMismatch: this try cannot succeed.
            StagingError: no try can.
        """
        attempts = self._attempts()
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

    def verify(self) -> Fetched:
        """Return the file, once all parts are done.

        Raises:
            DigestMismatch: it is not what was promised, or not what the source states.
            SourceChanged: the source, whose reads do not notice it, has another version now.
        """
        sums = Sums() if self._hashing is None else self._hashing.result()
        self._check.verify(sums, name=self._download.uri)
        if self._facts.stat is not None and self._facts.stat.unpinned and self._check.expected is None:
            self._facts.learn(self._ask())
        return Fetched(file=self.file, sums=sums, size=self.size or 0, version=self.version)

    def split(self) -> Part | None:
        """Return a further part, taken from one that arrives slowly; None when there is no such part."""
        return None if self.abandoned else self.parts.split(time.monotonic())

    def abandon(self) -> None:
        """End this try; threads that are still at it notice soon."""
        self.end()
        self._run.workspace.discard_file(self.file)

    def end(self) -> None:
        """Let its threads go, but leave its file to the workspace."""
        with self._lock:  # so that no hashing begins afterwards
            self.abandoned = True
        if self._hashing is not None:
            self._hashing.abandon()

    def _attempts(self) -> Attempts:
        return Attempts(str(self._download.uri), self._run.settings.retry, self._run.clock, self._run.retrying)

    def _ask(self) -> Stat:
        return persistently(lambda: self._source.stat(self._download.uri), attempts=self._attempts())

    def _read(self, part: Part, buffer: memoryview, attempts: Attempts) -> None:
        if part.is_done and self._journal.has_parts:
            # Everything is there already; what is left to ask is whether it still belongs together.
            self._learn(part, self._source.stat(self._download.uri))
            return
        with self._opening(part) as reading:
            self._facts.check_end(reading)
            self._learn(part, reading.stat, is_whole=reading.start == 0 and reading.stop == reading.stat.size)
            self._receive(part, reading, buffer, attempts)

    def _opening(self, part: Part) -> AbstractContextManager[Reading]:
        first, self._first = self._first, None  # by one thread: there are no further parts yet
        if first is not None:
            return first
        # The whole is asked for without a range: servers answer that faster, and an empty one could not be written.
        is_whole = part.at == 0 and part.stop == self._download.size
        stop = None if is_whole else part.stop
        return self._source.read(self._download.uri, version=self.version, start=part.at, stop=stop)

    # --- what an answer tells

    def _learn(self, part: Part, stat: Stat, *, is_whole: bool = False) -> None:
        if not self._facts.is_known:  # by one thread: there are no further parts yet
            stat = self._completed(stat)
        with self._lock:
            self._facts.learn(stat)
            if self._hashing is None and not self.abandoned:
                self._begin(part, stat, is_whole=is_whole)

    def _completed(self, stat: Stat) -> Stat:
        """Ask for the checksums that are not stated in the answer to a read, where they are needed."""
        if not stat.says_less or stat.digest is not None or self._download.digest is not None:
            return stat
        more = self._source.stat(self._download.uri)
        if (more.size, more.version) != (stat.size, stat.version):
            msg = f"{self._download.uri} changed while it was downloaded"
            raise SourceChanged(msg)
        return msgspec.structs.replace(stat, digest=more.digest, checksums=more.checksums)

    def _begin(self, part: Part, stat: Stat, *, is_whole: bool) -> None:
        size, smallest = stat.size, self._run.settings.part_size
        in_one_piece = size is not None and size <= smallest
        if not in_one_piece or self._journal.has_parts:
            self._journal.begin(version=stat.version, size=size, part_size=smallest)
        if size is not None and self._download.size is None:
            self._run.sizes[self._download.path] = size
        further = self.parts.divide(part, size, is_whole=is_whole)
        self._check = check_for(stat, digest=self._download.digest, wanted=self._run.settings.digests)
        if in_one_piece:
            self._hashing = InlineHashing(self._check)
            return
        if size is not None:
            self.file.reserve(size)
        self._hashing = self._hashing_of_parts()
        self._more(further)

    def _hashing_of_parts(self) -> Hashing:
        if self._check.can_be_combined and self._check.checksum is not None:
            from resolver.combining import CombiningHashing  # most runs have no such file

            return CombiningHashing(self._check.checksum, file=self.file, parts=self.parts.all)
        return FollowingHashing(self._check, file=self.file, frontier=self.parts.frontier, size=lambda: self.size)

    # --- bytes

    def _receive(self, part: Part, reading: Reading, buffer: memoryview, attempts: Attempts) -> None:
        self._skip(part.at - reading.start, reading, buffer)
        end = sys.maxsize if reading.stop is None or part.stop is None else reading.stop
        while (most := self.parts.claim(part, min(len(buffer), end - part.at))) > 0:
            count = reading.read_into(buffer[:most])
            if count == 0:
                break
            self._take(part, buffer[:count])
            attempts.progressed()
            if self.abandoned:
                return
        if part.stop is None:
            # The source did not announce a size: the end of the bytes is the end of the file.
            part.stop = part.at
            self._facts.ends_at(part.at)
        elif part.at < min(part.stop, end):
            msg = f"{self._download.uri} broke off at byte {part.at}"
            raise SourceUnavailable(msg)

    def _take(self, part: Part, data: memoryview) -> None:
        self.file.write(data, part.at)
        part.at += len(data)
        if self._hashing is not None:
            self._hashing.wrote(data, part=part)
        self._run.received(len(data))
        self._run.clock.check()
        self._facts.check_position(part.at)

    def _skip(self, count: int, reading: Reading, buffer: memoryview) -> None:
        """Read over what we have: a source without ranges begins at the start again."""
        while count > 0:
            got = reading.read_into(buffer[:count])
            if got == 0:
                msg = f"{self._download.uri} broke off"
                raise SourceUnavailable(msg)
            count -= got
            self._run.clock.check()

    def _close(self, part: Part) -> bool:
        if self.abandoned:
            return False
        self._journal.done(part.start, part.at, file=self.file)
        return self.parts.close()
