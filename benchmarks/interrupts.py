"""Ctrl-C and SIGTERM leave through every `finally`: servers are ended and data is removed on the way out."""

import signal
import sys
from types import FrameType
from typing import NoReturn


def end_on_signals() -> None:
    """Make both signals end this program, also where a shell would have it ignore them (in the background)."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal must not cut short the tidying that the first one began.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(128 + number)
