"""What to do next with one resumable upload.  Pure: the known state and an answer give the next state.

    Begin  →  Send  →  Send  →  …  →  Send (complete)
       ↑        ↓ failed            ↓
       │       Ask  →  Send …       the server knows it no longer, or its bytes were damaged
       └────────────────────────────┘

After a failure nobody knows how many bytes the server has, so it is asked, and sending goes on there.  The offset is
what the server has durably: bytes after it are sent again, and no others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from staging_protocol.errors import (
    BundleExpired,
    DigestMismatch,
    NotFound,
    SourceUnavailable,
    StagingError,
    UploadOffsetMismatch,
)
from staging_protocol.uploads import UploadId, UploadState

_FORGOTTEN: Final = 3
"""Times that an upload is begun anew because the server does not know it; then something else is wrong."""

_DISPUTED: Final = 3
"""Times in a row that we and the server disagree about the offset although it was asked."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Create the upload."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask how far it is."""

    upload: UploadId


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send `size` bytes from `offset`; with `complete` they are the last ones."""

    upload: UploadId
    offset: int
    size: int
    complete: bool


Step = Begin | Ask | Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is known of one upload.

    Attributes:
        size: bytes of the whole blob.
        part: bytes that are sent at once, at most.
        id: its id; None before it was begun.
        offset: bytes that the server has durably, as it said last.
        certain: whether the server still has exactly these; after a failure it may have more.
        complete: whether the blob is held: nothing is left to do.
        forgotten: times that the server no longer knew it.
        disputed: times in a row that the server expected another offset.
        damaged: whether its bytes had another digest once.
    """

    size: int
    part: int
    id: UploadId | None = None
    offset: int = 0
    certain: bool = False
    complete: bool = False
    forgotten: int = 0
    disputed: int = 0
    damaged: bool = False

    @property
    def next_step(self) -> Step | None:
        """What has to be done now; None when it is complete."""
        if self.complete:
            return None
        if self.id is None:
            return Begin()
        if not self.certain:
            return Ask(self.id)
        size = min(self.part, self.size - self.offset)
        return Send(upload=self.id, offset=self.offset, size=size, complete=self.offset + size == self.size)

    def begun(self, upload: UploadId | None, state: UploadState, *, limits: Mapping[str, int]) -> "Upload":
        """Return what is known after `Begin`; without an id the blob is held already."""
        if upload is None:
            return replace(self, complete=True)
        return self.continued(upload, limits=limits).told(state)

    def continued(self, upload: UploadId, *, limits: Mapping[str, int]) -> "Upload":
        """Return what is known of an upload that was begun: how far it is has to be asked."""
        most = limits.get("max-append-size", 0)
        part = min(self.part, most) if most > 0 else self.part
        return replace(self, id=upload, part=part, offset=0, certain=False)

    def told(self, state: UploadState) -> "Upload":
        """Return what is known after the server said how far it is.

        Raises:
            SourceUnavailable: it says what cannot be.
        """
        if state.offset > self.size:
            msg = f"the server says that it has {state.offset} bytes of a file of {self.size}"
            raise SourceUnavailable(msg)
        disputed = 0 if state.offset > self.offset else self.disputed
        return replace(self, offset=state.offset, certain=True, complete=state.complete, disputed=disputed)

    def sent(self, state: UploadState) -> "Upload":
        """Return what is known after the server took what `Send` sent.

        Raises:
            SourceUnavailable: it kept nothing of it.
        """
        if state.offset <= self.offset and not state.complete:
            raise SourceUnavailable("the server took a part of a file and kept nothing of it")
        return self.told(state)

    def failed(self, error: StagingError) -> "Upload":
        """Return what is known after a step failed.

        Raises:
            StagingError: `error`, when nothing can be done about it.  Transient ones are not raised here: the caller
                waits, and takes the next step.
        """
        unsure = replace(self, certain=False)
        match error:
            case _ if self.id is None:
                known = self if error.retryable else None
            case DigestMismatch():
                known = None if self.damaged else replace(self._anew(), damaged=True)
            case NotFound() | BundleExpired():
                known = None if self.forgotten >= _FORGOTTEN else replace(self._anew(), forgotten=self.forgotten + 1)
            case UploadOffsetMismatch():
                known = None if self.disputed >= _DISPUTED else replace(unsure, disputed=self.disputed + 1)
            case _:
                known = unsure if error.retryable else None
        if known is None:
            raise error
        return known

    def _anew(self) -> "Upload":
        return replace(self, id=None, offset=0, certain=False)
