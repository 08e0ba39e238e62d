"""The lines of a container's log while it runs, each once.

A log that breaks is opened again from the time of the last line; lines of that very moment are counted, so that none
comes twice.  One that ends is opened again too while the container runs: the kubelet ends logs when it rotates them.
"""

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from staging_protocol.errors import NotFound, StagingError
from submission.kube.api import KubeApi

_Moment = tuple[datetime, int]
"""A time, and nanoseconds of its last microsecond."""

_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?")
"""RFC 3339 in the node's time zone, its fraction without the zeros at its end."""

_PAUSE: Final = 1.0
"""Seconds before a log is opened again."""


def lines_of(
    api: KubeApi, *, namespace: str, pod: str, container: str, is_over: Callable[[], bool], tail: int | None = None
) -> Iterator[bytes]:
    """Yield each line of a container's log once, until the container has ended.

    Args:
        api: of the cluster.
        namespace: of the pod.
        pod: its name.
        container: its name.
        is_over: whether the container has ended; asked before each time that the log is opened.
        tail: begin with so many of the last lines.

    Raises:
        StagingError: it cannot be read.
    """
    position = _Position()
    while True:
        is_last = False
        try:
            is_last = is_over()
            stamped = api.log(
                pod, namespace=namespace, container=container, follow=True, timestamps=True,
                tail=tail if position.time is None else None, since_time=position.time,
            )  # fmt: skip
            yield from position.new(stamped)
            if is_last:
                return
        except NotFound:
            if position.time is None:
                raise
            return  # the pod was deleted meanwhile
        except StagingError as error:
            if is_last or not error.retryable:
                raise
        time.sleep(_PAUSE)


class _Position:
    """How far a log was read: to which line of which moment."""

    def __init__(self) -> None:
        self._since: _Moment | None = None
        self._lines = 0

    @property
    def time(self) -> datetime | None:
        """The moment of the last line; its nanoseconds are cut off, as Python's class has none."""
        return None if self._since is None else self._since[0]

    def new(self, stamped: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what is new of lines with their times."""
        again = self._lines
        is_new = True
        for line in stamped:
            at, text = _split(line)
            if at is not None:
                is_new = self._is_new(at, again=again)
                again = 0 if is_new else again - (at == self._since)
            if not is_new:
                continue
            if at is not None:
                self._lines = self._lines + 1 if at == self._since else 1
                self._since = at
            yield text

    def _is_new(self, at: _Moment, *, again: int) -> bool:
        return self._since is None or at > self._since or (at == self._since and again <= 0)


def _split(line: bytes) -> tuple[_Moment | None, bytes]:
    """Return the moment of a line, and its text; no moment for the next piece of a line that is very long."""
    found = _STAMP.match(line)
    if found is None:
        return None, line
    second = datetime.fromisoformat((found[1] + found[3]).decode())
    nanoseconds = int((found[2] or b"").ljust(9, b"0"))
    return (second.replace(microsecond=nanoseconds // 1000), nanoseconds % 1000), line[found.end() :]
