"""A log that is followed: each line once, however often the connection breaks.

Kubelets that break on demand are played: an API server without a node gives no logs.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from staging_protocol.errors import Denied, InvalidRequest, NotFound, StagingError, Unavailable
from submission.jobs import following
from submission.jobs.following import lines_of

# Of one moment, with fractions of any length, and in a zone that changes.
LINES = [
    (b"2026-03-01T10:00:00.000000001Z", b"one"),
    (b"2026-03-01T10:00:00.000000001Z", b"two"),
    (b"2026-03-01T12:00:00.9+02:00", b"three"),
    (b"2026-03-01T10:00:00.95Z", b"three and a half"),
    (b"2026-03-01T10:00:01Z", b""),
    (b"2026-03-01T11:00:01+01:00", b"five 2026-03-01T10:00:00Z"),
]


class Kubelet:
    """Gives a log from a second on, as the API does, and breaks after so many lines; then it breaks no more."""

    def __init__(self, *breaks: int, error: StagingError | None = None, ends_cleanly: bool = False) -> None:
        self._breaks = list(breaks)
        self._error = error or Unavailable("the connection broke")
        self._ends_cleanly = ends_cleanly
        self.has_ended = False
        self.asked: list[dict[str, Any]] = []

    def log(self, _pod: str, **options: Any) -> Iterator[bytes]:
        self.asked.append(options)
        limit = self._breaks.pop(0) if self._breaks else None
        since: datetime | None = options["since_time"]
        given = 0
        for moment, text in LINES:
            if since is not None and datetime.fromisoformat(moment.decode()).replace(microsecond=0) < since.replace(
                microsecond=0
            ):
                continue
            if given == limit:
                if self._ends_cleanly:
                    return
                raise self._error
            given += 1
            yield moment + b" " + text
        self.has_ended = True


def read(kubelet: Any, *, tail: int | None = None, is_over: bool = False) -> list[bytes]:
    def has_ended() -> bool:
        return is_over or kubelet.has_ended

    return list(lines_of(kubelet, namespace="jobs", pod="p", container="c", is_over=has_ended, tail=tail))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAUSE", 0.0)


@pytest.mark.parametrize("breaks", [(), (0,), (1,), (2,), (1, 1, 1), (3, 2, 4), (4,), (5,)])
def test_each_line_comes_once(breaks: tuple[int, ...]) -> None:
    assert read(Kubelet(*breaks)) == [text for _, text in LINES]


@pytest.mark.parametrize("breaks", [(0,), (2,), (1, 3)])
def test_a_log_that_ends_while_its_container_runs_goes_on(breaks: tuple[int, ...]) -> None:
    assert read(Kubelet(*breaks, ends_cleanly=True)) == [text for _, text in LINES]


def test_only_the_first_request_asks_for_the_last_lines() -> None:
    kubelet = Kubelet(2)
    read(kubelet, tail=10)
    assert [asked["tail"] for asked in kubelet.asked][:2] == [10, None]


@pytest.mark.parametrize("error", [Denied("no"), InvalidRequest("it has not started")])
def test_what_does_not_pass_is_told(error: StagingError) -> None:
    with pytest.raises(type(error)):
        read(Kubelet(1, error=error))


def test_a_pod_that_is_deleted_while_its_log_is_read_ends_the_log() -> None:
    assert read(Kubelet(1, error=NotFound("no pod"))) == [b"one"]
    with pytest.raises(NotFound):
        read(Kubelet(0, error=NotFound("no pod")))


def test_a_container_that_has_ended_is_asked_once() -> None:
    kubelet = Kubelet()
    assert len(read(kubelet, is_over=True)) == len(LINES)
    assert len(kubelet.asked) == 1
    with pytest.raises(Unavailable):
        read(Kubelet(1), is_over=True)


def test_pieces_of_a_line_that_is_very_long_belong_to_it() -> None:
    class Pieces(Kubelet):
        def log(self, _pod: str, **options: Any) -> Iterator[bytes]:
            self.asked.append(options)
            yield b"2026-03-01T10:00:00Z begin"
            yield b"and end"
            if len(self.asked) == 1:
                raise Unavailable("the connection broke")
            yield b"2026-03-01T10:00:01Z next"
            self.has_ended = True

    assert read(Pieces()) == [b"begin", b"and end", b"next"]
