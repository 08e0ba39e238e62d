"""Uploading what the server wants: several files at a time, the largest first, each on its way.

    up to 8 MiB   one PUT: as cheap as can be, and begun anew when it fails
    larger        a resumable upload in parts of 8 MiB, remembered in the journal until it is whole

The largest begin first, so that the small ones fill what is left of the time, and no large one is alone at the end.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from staging_io.staging import StagingClient
from staging_protocol.errors import DigestMismatch, MethodNotAllowed, NotFound, StagingError, Terminated
from submission import parallel
from submission.file_content import changed, content
from submission.hashing import HashedFile
from submission.progress import FileProgress, Progress
from submission.resumable import PART, ResumableUpload
from submission.retrying import retried
from submission.settings import Settings
from submission.upload_journal import UploadJournal


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
        self._progress.phase("upload", size=sum(one.version.size for one in files))
        largest_first = sorted(files, key=lambda one: -one.version.size)
        self._tidy(files)
        parallel.each(largest_first, self._upload, at_once=self._settings.uploads, stop=self._stop)
        return sum(one.resumed for one in self._resumable)

    @property
    def kept(self) -> Kept:
        """What the next run need not send, when this one ends now."""
        sizes = [size for one in list(self._resumable) if (size := one.kept)]
        return Kept(files=len(sizes), size=sum(sizes))

    def _upload(self, one: HashedFile) -> None:
        try:
            if one.version.size <= PART:
                self._put(one)
            else:
                self._put_in_parts(one)
        except DigestMismatch as error:
            raise changed(one) from error

    def _put_in_parts(self, one: HashedFile) -> None:
        try:
            self._send_in_parts(one)
        except (NotFound, MethodNotAllowed):  # a server of the version before has no resumable uploads
            self._put(one)

    def _send_in_parts(self, one: HashedFile) -> None:
        with self._journal.claimed(one.digest, size=one.version.size, path=one.file.path) as claim:
            upload = ResumableUpload(
                one,
                client=self._client,
                namespace=self._namespace,
                claim=claim,
                progress=self._progress,
                stop=self._stop,
            )
            self._resumable.append(upload)
            upload.send(retried=self._retried)

    def _put(self, one: HashedFile) -> None:
        shown, size = FileProgress(self._progress), one.version.size

        def put() -> None:
            body = content(one, offset=0, size=size, reached=shown.reached, stop=self._stop)
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
