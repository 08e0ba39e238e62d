"""Uploading what the server wants: several loads at a time, the largest first, each on its way.

    small         many in one request, where the server takes that: up to 8 MiB together
    up to 8 MiB   one PUT: begun anew when it fails, as a batch is
    larger        a resumable upload in parts of 8 MiB, remembered in the journal until it is whole

The largest begin first, so that the small ones fill what is left of the time, and no large one is alone at the end.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from staging_io.staging import StagingClient
from staging_protocol.api.info import BatchLimits, Info
from staging_protocol.errors import DigestMismatch, MethodNotAllowed, NotFound, StagingError, Terminated
from submission import parallel
from submission.access.retrying import retried
from submission.progress.telling import FileProgress, Progress
from submission.settings import Settings
from submission.staging.batching import Load, announced, loads
from submission.staging.file_content import changed, content, contents
from submission.staging.hashing import HashedFile
from submission.staging.resumable import PART, ResumableUpload
from submission.staging.upload_journal import UploadJournal

_WORTH_ASKING: Final = 2
"""Files that may go together; for one alone, one request less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the server keeps of uploads that did not come to their end, for the next run."""

    files: int
    size: int


class Uploader:
    """Uploads into one namespace, once."""

    def __init__(
        self,
        client: StagingClient,
        *,
        settings: Settings,
        namespace: str,
        progress: Progress,
        journal: UploadJournal,
        stop: threading.Event,
    ) -> None:
        """Make one; when `stop` is set, everything ends at its next slice."""
        self._client = client
        self._settings = settings
        self._namespace = namespace
        self._progress = progress
        self._journal = journal
        self._stop = stop
        self._resumable: list[ResumableUpload] = []
        self._told: set[str] = set()

    def upload(self, files: Sequence[HashedFile]) -> int:
        """Upload `files`, each with a digest of its own; return the bytes that an earlier run had sent.

        Raises:
            DigestMismatch: a file is another one by now.
            StagingError: the first failure; what the server has by then is kept there.
        """
        self._progress.phase("upload", size=sum(one.version.size for one in files), files=len(files))
        self._tidy(files)
        todo = loads(files, self._batch_limits(files))
        parallel.each(todo, self._upload, at_once=self._settings.uploads, stop=self._stop)
        return sum(one.resumed for one in self._resumable)

    @property
    def kept(self) -> Kept:
        """What the next run need not send, when this one ends now."""
        sizes = [size for one in list(self._resumable) if (size := one.kept)]
        return Kept(files=len(sizes), size=sum(sizes))

    def _batch_limits(self, files: Sequence[HashedFile]) -> BatchLimits | None:
        """Ask what the server takes together, when that may matter."""
        if sum(one.version.size <= PART for one in files) < _WORTH_ASKING:
            return None
        info: list[Info] = []
        self._retried(lambda: info.append(self._client.info()))
        return info[0].limits.batch

    def _upload(self, load: Load) -> None:
        if len(load) > 1:
            self._put_together(load)
            return
        one = load[0]
        try:
            with FileProgress(self._progress, one.file.dependency.target, size=one.version.size) as shown:
                if one.version.size <= PART:
                    self._put(one, reached=shown.reached)
                else:
                    self._put_in_parts(one, shown)
        except DigestMismatch as error:
            raise changed(one) from error

    def _put_together(self, load: Load) -> None:
        size = sum(one.version.size for one in load)
        with FileProgress(self._progress, f"{len(load)} small files", size=size, files=len(load)) as shown:
            self._put_batch(load, shown)

    def _put_batch(self, load: Load, shown: FileProgress) -> None:
        batch = announced(load)

        def put() -> None:
            body = contents(load, reached=shown.reached, stop=self._stop)
            self._client.put_blobs(self._namespace, batch, body)

        try:
            self._retried(put)
        except (NotFound, DigestMismatch):
            # A server of the version before answers at the same address; or a file is another one by now, and the
            # server that gets each by itself tells which.
            self._put_each(load, shown)

    def _put_each(self, load: Load, shown: FileProgress) -> None:
        """Send the files of a load one by one; what was shown of them together is not shown again."""
        before = 0
        for one in load:
            try:
                self._put(one, reached=shown.behind(before))
            except DigestMismatch as error:
                raise changed(one) from error
            before += one.version.size

    def _put_in_parts(self, one: HashedFile, shown: FileProgress) -> None:
        try:
            self._send_in_parts(one, shown)
        except (NotFound, MethodNotAllowed):  # a server of the version before has no resumable uploads
            self._put(one, reached=shown.reached)

    def _send_in_parts(self, one: HashedFile, shown: FileProgress) -> None:
        with self._journal.claimed(one.digest, size=one.version.size, path=one.file.path) as claim:
            upload = ResumableUpload(
                one,
                client=self._client,
                namespace=self._namespace,
                claim=claim,
                progress=shown,
                stop=self._stop,
            )
            self._resumable.append(upload)
            upload.send(retried=self._retried)

    def _put(self, one: HashedFile, *, reached: Callable[[int], None]) -> None:
        size = one.version.size

        def put() -> None:
            body = content(one, offset=0, size=size, reached=reached, stop=self._stop)
            self._client.put_blob(self._namespace, one.digest, size=size, content=body)

        self._retried(put)

    def _tidy(self, files: Sequence[HashedFile]) -> None:
        """Cancel uploads that an earlier run began from one of the files as it was then."""
        paths = {one.file.path: one.digest for one in files}
        for upload in self._journal.outdated(paths):
            with suppress(StagingError):
                self._client.cancel_upload(self._namespace, upload)

    def _retried(self, call: Callable[[], None], /) -> None:
        def unless_stopped() -> None:
            if self._stop.is_set():
                raise Terminated("staging was interrupted")
            call()

        retried(unless_stopped, seconds=self._settings.retry_seconds, notice=self._notice)

    def _notice(self, text: str) -> None:
        """Say it once: when the server goes away, every upload that is under way notices."""
        if text not in self._told:
            self._told.add(text)
            self._progress.notice(text)
