"""One dependency, from its source to its place: reuse, fetch, verify, and make it visible.

A file that does not have the promised checksum, or that changed under the download, is fetched once more, from the
start; the second time its error is final.
"""

import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from resolver.attempt import Attempt
from resolver.held import Held, held
from resolver.journal import Journal
from resolver.parts import Part
from resolver.plan import Download
from resolver.records import Record
from resolver.run import InFlight, Resolved, Run
from resolver.sources.base import Source
from resolver.whole import Fetched, First, fetch_whole, may_be_small
from staging_io.files import UnfinishedFile
from staging_protocol.errors import BadArchive, DigestMismatch, SourceChanged, StagingError


class DependencyDownload:
    """Brings one dependency; `start` is its first task, further ones go to the crew."""

    def __init__(self, download: Download, *, source: Source, run: Run) -> None:
        self._download = download
        self._source = source
        self._run = run
        self._lock = threading.Lock()
        self._failures: set[type[StagingError]] = set()
        self._current: Attempt | None = None
        self._journal = Journal(download, enabled=run.settings.journal)
        self._started = time.monotonic()

    def start(self, buffer: memoryview) -> None:
        """Use what is there already, or begin to fetch."""
        self._run.clock.check()
        found = held(self._download, source=self._source, run=self._run)
        if found is None:
            self._run.in_flight[self._download.path] = self
            self._begin(buffer)
        else:
            self._done(found, reused=True)

    def split(self) -> bool:
        """Give a thread that has nothing to do a share of a part that arrives slowly, if there is one."""
        attempt = self._current
        part = None if attempt is None else attempt.split()
        if attempt is None or part is None:
            return False
        self._run.crew.add_first(partial(self._fetch, attempt, part))
        return True

    def end(self) -> None:
        """Let the run end: no thread stays behind for this file."""
        attempt = self._current
        if attempt is not None:
            attempt.end()

    @property
    def in_flight(self) -> InFlight:
        """How far it is."""
        attempt, known = self._current, self._download.size
        return InFlight(
            uri=str(self._download.uri), target=self._download.target,
            size=known if attempt is None or attempt.size is None else attempt.size,
            received=0 if attempt is None else attempt.parts.received,
            seconds=time.monotonic() - self._started,
        )  # fmt: skip

    # --- fetch

    def _begin(self, buffer: memoryview) -> None:
        if self._journal.has_parts or not may_be_small(self._download, run=self._run):
            self._begin_in_parts(buffer)
            return
        try:
            found = fetch_whole(self._download, source=self._source, run=self._run, buffer=buffer)
        except (DigestMismatch, SourceChanged) as error:
            self._again(None, error)
            return
        if isinstance(found, Fetched):
            self._finish(found)
            return
        with ExitStack() as opened:
            opened.push(found)  # nobody may come to read it
            self._begin_in_parts(buffer, first=found)

    def _begin_in_parts(self, buffer: memoryview, *, first: First | None = None) -> None:
        attempt = Attempt(
            self._download,
            source=self._source, run=self._run, journal=self._journal, more=self._add_parts, first=first,
        )  # fmt: skip
        self._current = attempt
        self._run.clock.check()  # either this sees that the run was ended, or `end` sees the attempt
        self._fetch(attempt, attempt.parts.first, buffer)

    def _add_parts(self, parts: list[Part]) -> None:
        attempt = self._current
        if attempt is not None:
            self._run.crew.add_first(*(partial(self._fetch, attempt, part) for part in parts))

    def _fetch(self, attempt: Attempt, part: Part, buffer: memoryview) -> None:
        try:
            if attempt.fetch(part, buffer):
                self._finish(attempt.verify())
        except (DigestMismatch, SourceChanged) as error:
            self._again(attempt, error)
        except StagingError:
            # What happens to an abandoned try has no meaning any more.
            if not attempt.abandoned:
                raise

    def _again(self, attempt: Attempt | None, error: DigestMismatch | SourceChanged) -> None:
        with self._lock:
            if attempt is not self._current:
                return
            if attempt is not None:
                attempt.abandon()
            self._journal.forget()
            if type(error) in self._failures:
                raise error
            self._failures.add(type(error))
            self._current = None
        self._run.retrying(str(self._download.uri), error, 0.0)
        self._run.crew.add_first(self._begin)

    # --- finish

    def _finish(self, found: Fetched) -> None:
        self._journal.forget()
        target, sums = self._download.target, found.sums
        records = self._run.records_of(self._download.folder) if self._download.needs_record else None
        if records is not None:
            records.forget(target)
        if self._download.is_unpacked:
            self._unpack(found.file)
        else:
            self._run.workspace.commit_file(found.file)
        if records is not None:
            records.remember(
                Record(
                    target=target, size=found.size, version=found.version, digest=sums.digest, checksum=sums.checksum
                )
            )
        self._done(Held(sums=sums, size=found.size), reused=False)

    def _unpack(self, file: UnfinishedFile) -> None:
        from resolver.archives import unpack  # 5 ms, and most manifests have no archive

        workspace = self._run.workspace
        final = Path(self._download.path)
        tree = workspace.begin_tree(final)
        try:
            unpack(
                Path(file.path), tree,
                limits=self._run.settings.archives,
                durable=self._run.settings.durable, check=self._run.clock.check,
            )  # fmt: skip
            workspace.commit_tree(tree, final)
        except BadArchive as error:
            msg = f"{self._download.uri} is refused: {error.detail}"
            raise BadArchive(msg) from error
        finally:
            workspace.discard_tree(tree)
            workspace.discard_file(file)

    def _done(self, found: Held, *, reused: bool) -> None:
        self._run.in_flight.pop(self._download.path, None)
        self._run.resolved(
            Resolved(
                uri=str(self._download.uri), kind=self._download.kind, target=self._download.target,
                path=self._download.path, digest=found.sums.digest, reused=reused, size=found.size,
                seconds=round(time.monotonic() - self._started, 3),
            )
        )  # fmt: skip
