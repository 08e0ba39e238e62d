"""SIGTERM and SIGINT end a run: as an error of ours, raised where the main thread waits, so that it cleans up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from staging_protocol.errors import Terminated

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raise Terminated at the first SIGTERM or SIGINT; further ones do not disturb the clean-up.

    Only the main thread can use it.
    """
    before = {number: signal.signal(number, _end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    msg = f"ended by {signal.Signals(number).name}"
    raise Terminated(msg)
