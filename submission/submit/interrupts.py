"""Ctrl-C, and being asked to end, at moments when neither may cut something in two.

A request to create something that is cut off leaves nobody knowing whether it exists.  So while one is under way a
signal waits for the answer; a second one does not.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from staging_protocol.errors import Terminated

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def hangup_ends() -> Iterator[None]:
    """Let a terminal that is closed end the program as SIGTERM does, in order; `nohup` stays what it is."""
    before = signal.getsignal(signal.SIGHUP)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def held(say: Callable[[str], None], *, until: str) -> Iterator[None]:
    """Hold back the first signal until the body is done; `until` says what is waited for."""
    hold = _Hold(say, until=until)
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            hold.before[number] = signal.signal(number, hold)
    try:
        yield
    finally:
        for held_one, handler in hold.before.items():
            signal.signal(held_one, handler)
        hold.release()


class _Hold:
    def __init__(self, say: Callable[[str], None], *, until: str) -> None:
        self._say = say
        self._until = until
        self._came: tuple[int, FrameType | None] | None = None
        self.before: dict[int, Any] = {}

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._came is not None:
            self._pass_on(number, frame)
            return
        self._came = (number, frame)
        self._say(f"stopping, as soon as {self._until}; once more to leave at once")

    def release(self) -> None:
        if self._came is not None:
            self._pass_on(*self._came)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        handler = self.before[number]
        (handler if callable(handler) else _terminate)(number, frame)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated("the command was asked to end")
