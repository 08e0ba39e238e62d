"""What is done next with an upload, against every answer and failure that a server can give."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import (
    BlobNotWanted,
    BundleExpired,
    DigestMismatch,
    NotFound,
    RequestTimeout,
    SourceUnavailable,
    StagingError,
    Terminated,
    TooManyRequests,
    Unavailable,
    UploadOffsetMismatch,
    UploadSuperseded,
)
from staging_protocol.uploads import UploadId, UploadState
from submission.staging.upload_steps import Ask, Begin, Send, Upload

PART = 8
TRANSIENT: list[type[StagingError]] = [
    SourceUnavailable,
    Unavailable,
    RequestTimeout,
    TooManyRequests,
    UploadSuperseded,
]
"""A lost connection, 5xx, 408, 429, another writer."""


def begun(size: int, *, offset: int = 0, limits: dict[str, int] | None = None) -> Upload:
    state = UploadState(offset=offset, complete=False)
    return Upload(size=size, part=PART).begun(UploadId.generate(), state, limits=limits or {})


def at(offset: int) -> UploadState:
    return UploadState(offset=offset, complete=False)


def test_a_file_is_sent_in_parts_and_the_last_one_completes_it() -> None:
    known, sent = Upload(size=20, part=PART), []
    assert known.next_step == Begin()
    known = known.begun(UploadId.generate(), at(0), limits={})

    while isinstance(step := known.next_step, Send):
        sent.append((step.offset, step.size, step.complete))
        known = known.sent(UploadState(offset=step.offset + step.size, complete=step.complete))

    assert sent == [(0, 8, False), (8, 8, False), (16, 4, True)]
    assert known.complete


def test_a_blob_that_is_held_by_now_needs_no_bytes() -> None:
    known = Upload(size=20, part=PART).begun(None, UploadState(offset=20, complete=True), limits={})

    assert known.next_step is None


@pytest.mark.parametrize(
    ("limits", "part"),
    [({}, 8), ({"max-append-size": 5}, 5), ({"max-append-size": 50}, 8), ({"max-append-size": 0}, 8)],
)
def test_parts_are_no_larger_than_the_server_takes(limits: dict[str, int], part: int) -> None:
    step = begun(20, limits=limits).next_step

    assert isinstance(step, Send)
    assert step.size == part


@pytest.mark.parametrize("error", TRANSIENT)
def test_after_a_failure_the_server_is_asked_and_sending_goes_on_there(error: type[StagingError]) -> None:
    known = begun(20, offset=8).failed(error("no"))

    assert isinstance(known.next_step, Ask)
    step = known.told(at(11)).next_step
    assert isinstance(step, Send)
    assert (step.offset, step.size) == (11, 8)


def test_an_upload_of_an_earlier_run_begins_with_a_question() -> None:
    upload = UploadId.generate()
    known = Upload(size=20, part=PART).continued(upload, limits={"max-append-size": 4})

    assert known.next_step == Ask(upload)
    step = known.told(at(16)).next_step
    assert step == Send(upload=upload, offset=16, size=4, complete=True)


@pytest.mark.parametrize("error", [NotFound, BundleExpired])
def test_what_the_server_forgot_is_begun_anew_but_not_for_ever(error: type[StagingError]) -> None:
    known = begun(20, offset=8)
    for _ in range(3):
        known = known.failed(error("gone"))
        assert known.next_step == Begin()
        known = known.begun(UploadId.generate(), at(0), limits={})

    with pytest.raises(error):
        known.failed(error("gone"))


def test_damaged_bytes_are_sent_once_more() -> None:
    known = begun(20, offset=16).failed(DigestMismatch("other bytes"))

    assert known.next_step == Begin()
    known = known.begun(UploadId.generate(), at(0), limits={})
    with pytest.raises(DigestMismatch):
        known.failed(DigestMismatch("other bytes"))


def test_another_offset_is_asked_for_but_not_disputed_for_ever() -> None:
    known = begun(20, offset=8)
    for _ in range(3):
        known = known.failed(UploadOffsetMismatch("no"))
        assert isinstance(known.next_step, Ask)
        known = known.told(at(8))

    with pytest.raises(UploadOffsetMismatch):
        known.failed(UploadOffsetMismatch("no"))


def test_progress_ends_a_dispute() -> None:
    known = begun(20)
    for offset in range(1, 20):
        known = known.failed(UploadOffsetMismatch("no")).told(at(offset))

    assert known.offset == 19


@pytest.mark.parametrize("error", [BlobNotWanted, Terminated])
def test_a_refusal_is_final(error: type[StagingError]) -> None:
    with pytest.raises(error):
        begun(20).failed(error("no"))


def test_an_upload_that_cannot_begin_fails_but_for_what_is_transient() -> None:
    known = Upload(size=20, part=PART)

    assert known.failed(Unavailable("busy")).next_step == Begin()
    with pytest.raises(NotFound):
        known.failed(NotFound("no such route"))


def test_a_server_that_says_what_cannot_be_is_not_believed() -> None:
    with pytest.raises(SourceUnavailable, match="21 bytes of a file of 20"):
        begun(20).told(at(21))
    with pytest.raises(SourceUnavailable, match="kept nothing"):
        begun(20, offset=8).sent(at(8))


@dataclass
class ModelServer:
    """A server that keeps some of what comes, fails as `faults` say, and forgets now and then."""

    size: int
    faults: list[tuple[str, int]]
    id: UploadId | None = None
    stored: int = 0
    received: int = 0
    struck: int = 0
    lost: int = 0
    log: list[str] = field(default_factory=list)

    def answer(self, known: Upload) -> Upload:
        step = known.next_step
        fault, kept = self.faults.pop() if self.faults else ("none", 0)
        self.struck += fault != "none"
        match step:
            case Begin():
                if fault == "refuse":
                    raise Unavailable("busy")
                self.id, self.stored = UploadId.generate(), 0
                return known.begun(self.id, at(0), limits={})
            case Ask(upload) | Send(upload=upload) if upload != self.id or fault == "forget":
                self.lost += self.stored
                self.id = None
                raise NotFound("no such upload")
            case Ask():
                if fault == "refuse":
                    raise Unavailable("busy")
                return known.told(UploadState(offset=self.stored, complete=self.stored == self.size))
            case Send(offset=offset, size=size):
                return self._take(known, offset, size, fault=fault, kept=kept)
        raise AssertionError

    def _take(self, known: Upload, offset: int, size: int, *, fault: str, kept: int) -> Upload:
        if fault == "refuse":
            raise UploadSuperseded("another writer")
        assert offset == self.stored, "only bytes that the server does not have are sent"
        self.received += size
        if fault == "break":
            self.stored += min(kept, size)
            raise SourceUnavailable("the connection broke")
        self.stored += size
        if fault == "mute":
            raise SourceUnavailable("the answer was lost")
        return known.sent(UploadState(offset=self.stored, complete=self.stored == self.size))


FAULTS = st.tuples(st.sampled_from(["refuse", "break", "mute", "none", "none"]), st.integers(0, PART))


@given(size=st.integers(PART + 1, 100), faults=st.lists(FAULTS, max_size=40), forgets=st.integers(0, 3))
def test_whatever_fails_the_blob_arrives_and_at_most_one_part_for_each_failure_is_sent_again(
    size: int, faults: list[tuple[str, int]], forgets: int
) -> None:
    for number in range(forgets):
        faults.insert(min(len(faults), 5 * number), ("forget", 0))
    server = ModelServer(size=size, faults=faults)
    known = Upload(size=size, part=PART)

    while known.next_step is not None:
        try:
            known = server.answer(known)
        except StagingError as error:
            known = known.failed(error)

    assert server.stored == size
    assert server.received <= size + PART * server.struck + server.lost
