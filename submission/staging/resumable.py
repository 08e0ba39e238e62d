"""One large file, sent in parts: what `upload_steps` decides is done here, and done again after failures.

Each part is durable when it is answered, so what an interruption costs is at most one part.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from staging_io.staging import StagingClient
from staging_protocol.errors import BundleExpired, DigestMismatch, NotFound, StagingError
from staging_protocol.uploads import UploadState
from submission.progress.telling import FileProgress
from submission.staging.file_content import changed, content, is_changed
from submission.staging.hashing import HashedFile
from submission.staging.upload_journal import Claim
from submission.staging.upload_steps import Ask, Begin, Send, Step, Upload

PART: Final = 8 * 1024 * 1024
"""Bytes: what is sent again at most after an interruption, which is a promise and so no setting.  The server may ask
for smaller parts."""

_GONE: Final = (DigestMismatch, NotFound, BundleExpired)
"""After these the server has nothing of an upload any more."""


Retried = Callable[[Callable[[], None]], None]
"""Calls again after transient failures, for as long as the settings say; then raises the last one."""


class ResumableUpload:
    """The upload of one file into one namespace."""

    def __init__(
        self,
        one: HashedFile,
        *,
        client: StagingClient,
        namespace: str,
        claim: Claim,
        progress: FileProgress,
        stop: threading.Event,
    ) -> None:
        """Go on with the upload of `claim`, or begin one."""
        self._one = one
        self._client = client
        self._namespace = namespace
        self._claim = claim
        self._stop = stop
        self._progress = progress
        self._resumed: int | None = None
        self._known = Upload(size=one.version.size, part=PART)
        if claim.entry is not None:
            self._known = self._known.continued(claim.entry.upload, limits=claim.entry.limits)
        else:
            self._resumed = 0

    @property
    def resumed(self) -> int:
        """Bytes that an earlier run had sent."""
        return self._resumed or 0

    @property
    def kept(self) -> int:
        """Bytes that the next run need not send, when this one ends now."""
        return self._known.offset if self._claim.is_kept else 0

    def send(self, *, retried: Retried) -> None:
        """Return when the server holds the blob.

        Raises:
            DigestMismatch: the file is another one by now.
            StagingError: what the server refuses, or does not answer for too long without any progress.
        """
        while self._known.next_step is not None:
            retried(self._further)
        self._progress.reached(self._known.size)
        self._claim.forget()

    def _further(self) -> None:
        """Take steps until the server has more bytes than before: that is progress, and patience begins anew."""
        while (step := self._known.next_step) is not None:
            before = self._known.offset
            self._take(step)
            if self._known.offset > before:
                return

    def _take(self, step: Step) -> None:
        try:
            self._known = self._answered(step)
        except StagingError as error:
            self._failed(error)
            if error.retryable:
                raise
        else:
            self._claim.touch()
            self._progress.reached(self._known.offset)

    def _answered(self, step: Step) -> Upload:
        client, namespace, one = self._client, self._namespace, self._one
        match step:
            case Begin():
                new = client.create_upload(namespace, one.digest, size=one.version.size)
                if new.id is not None:
                    self._claim.record(new.id, new.limits)
                return self._known.begun(new.id, new.state, limits=new.limits)
            case Ask(upload):
                known = self._known.told(client.upload_state(namespace, upload))
                if self._resumed is None:
                    self._resumed = known.offset
                return known
            case Send():
                return self._known.sent(self._append(step))

    def _append(self, part: Send) -> UploadState:
        body = content(self._one, offset=part.offset, size=part.size, reached=self._progress.reached, stop=self._stop)
        return self._client.append(
            self._namespace, part.upload, offset=part.offset, content=body, size=part.size, complete=part.complete
        )

    def _failed(self, error: StagingError) -> None:
        if isinstance(error, DigestMismatch) and is_changed(self._one):
            self._cancel()
            raise changed(self._one) from error
        if isinstance(error, _GONE):
            self._claim.forget()
            self._resumed = 0
        self._known = self._known.failed(error)

    def _cancel(self) -> None:
        self._claim.forget()
        if self._known.id is not None:
            with suppress(StagingError):
                self._client.cancel_upload(self._namespace, self._known.id)
