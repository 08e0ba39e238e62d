"""One dependency, from its source to its place: reuse, fetch, verify, and make it visible.

A file that does not have the promised digest, or that changed under the download, is fetched once more, from the start;
the second time its error is final.
"""

import threading
import time
from functools import partial
from pathlib import Path

from resolver.attempt import Attempt
from resolver.journal import Journal
from resolver.parts import Part
from resolver.plan import Download
from resolver.run import Resolved, Run
from resolver.sources.base import Source
from resolver.workspace import Record, forget_record, read_record
from staging_io.files import digest_of, regular_size
from staging_protocol.digests import Digest
from staging_protocol.errors import BadArchive, DigestMismatch, SourceChanged, StagingError


class DependencyDownload:
    """Brings one dependency; `start` is its first task, further ones go to the crew."""

    def __init__(self, download: Download, *, source: Source, run: Run) -> None:
        self._download = download
        self._source = source
        self._run = run
        self._path = download.path
        self._lock = threading.Lock()
        self._failures: set[type[StagingError]] = set()
        self._current: Attempt | None = None
        self._journal = Journal(download, enabled=run.settings.journal)
        self._started = 0.0

    def start(self, buffer: memoryview) -> None:
        """Use what is there already, or begin to fetch."""
        self._started = time.monotonic()
        self._run.clock.check()
        held = self._held()
        if held is None:
            self._begin(buffer)
        else:
            self._done(held, size=self._download.size, reused=True)

    # --- reuse

    def _held(self) -> Digest | None:
        """Return the digest of what is in its place already, if that is right and whole."""
        record = read_record(self._path) if self._needs_record else None
        if self._download.is_unpacked:
            return (
                record.digest if record is not None and Path(self._path).is_dir() and self._is_current(record) else None
            )
        size = regular_size(self._path)
        expected = self._download.digest
        if expected is None and record is not None and record.size == size and self._is_current(record):
            expected = record.digest
        if size is None or expected is None or self._download.size not in {None, size}:
            return None
        return expected if digest_of(self._path, check=self._run.clock.check) == expected else None

    @property
    def _needs_record(self) -> bool:
        """Whether what is on the disk cannot be checked by the manifest alone."""
        return self._download.is_unpacked or self._download.digest is None

    def _is_current(self, record: Record) -> bool:
        if self._download.digest is not None:
            return record.digest == self._download.digest
        if record.version is None or not record.version.strong:
            return False
        return self._source.stat(self._download.uri).version == record.version

    # --- fetch

    def _begin(self, buffer: memoryview) -> None:
        attempt = Attempt(
            self._download, source=self._source, run=self._run, journal=self._journal, more=self._add_parts
        )
        self._current = attempt
        self._fetch(attempt, attempt.first, buffer)

    def _add_parts(self, parts: list[Part]) -> None:
        attempt = self._current
        if attempt is not None:
            self._run.crew.add_first(*(partial(self._fetch, attempt, part) for part in parts))

    def _fetch(self, attempt: Attempt, part: Part, buffer: memoryview) -> None:
        try:
            if attempt.fetch(part, buffer):
                self._finish(attempt)
        except (DigestMismatch, SourceChanged) as error:
            self._again(attempt, error)
        except StagingError:
            # What happens to an abandoned try has no meaning any more.
            if not attempt.abandoned:
                raise

    def _again(self, attempt: Attempt, error: DigestMismatch | SourceChanged) -> None:
        with self._lock:
            if attempt is not self._current:
                return
            attempt.abandon()
            self._journal.forget()
            if type(error) in self._failures:
                raise error
            self._failures.add(type(error))
            self._current = None
        self._run.retrying(str(self._download.uri), error, 0.0)
        self._run.crew.add_first(self._begin)

    # --- finish

    def _finish(self, attempt: Attempt) -> None:
        digest = attempt.digest()
        self._journal.forget()
        if self._needs_record:
            forget_record(self._path)
        if self._download.is_unpacked:
            self._unpack(attempt)
        else:
            self._run.workspace.commit_file(attempt.file)
        if self._needs_record:
            record = Record(digest=digest, size=attempt.size, version=attempt.version)
            self._run.workspace.write_record(self._path, record)
        self._done(digest, size=attempt.size, reused=False)

    def _unpack(self, attempt: Attempt) -> None:
        from resolver.archives import unpack  # 5 ms, and most manifests have no archive

        workspace = self._run.workspace
        final = Path(self._path)
        tree = workspace.begin_tree(final)
        try:
            unpack(
                Path(attempt.file.path), tree,
                limits=self._run.settings.archives,
                durable=self._run.settings.durable, check=self._run.clock.check,
            )  # fmt: skip
            workspace.commit_tree(tree, final)
        except BadArchive as error:
            msg = f"{self._download.uri} is refused: {error.detail}"
            raise BadArchive(msg) from error
        finally:
            workspace.discard_tree(tree)
            workspace.discard_file(attempt.file)

    def _done(self, digest: Digest, *, size: int | None, reused: bool) -> None:
        record = read_record(self._path) if size is None else None
        self._run.resolved(
            Resolved(
                uri=str(self._download.uri), kind=self._download.kind, target=self._download.target,
                path=self._download.path, digest=digest, reused=reused,
                size=size if size is not None else (record.size if record else regular_size(self._path) or 0),
                seconds=round(time.monotonic() - self._started, 3),
            )
        )  # fmt: skip
