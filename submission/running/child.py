"""Running spark-submit as a child: no shell, the same terminal, signals passed on, its exit code ours."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from staging_protocol.errors import InvalidRequest

_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNAL_BASE: Final = 128
"""Shells report a child that a signal ended as 128 plus its number."""


def run_child(arguments: Sequence[str], *, environment: Mapping[str, str]) -> int:
    """Run the program and return its exit code.

    Raises:
        InvalidRequest: it cannot be started.
    """
    with _held_signals() as waiting:
        try:
            child = subprocess.Popen(list(arguments), env=dict(environment))  # noqa: S603 - the person's own command
        except OSError as error:
            msg = f"{arguments[0]} cannot be run: {error.strerror}"
            raise InvalidRequest(msg) from error
        with child:
            waiting.begin(child)
            code = child.wait()
    return code if code >= 0 else _SIGNAL_BASE - code


class _PassOn:
    """Passes signals to the child; one that arrives before there is a child is passed on as soon as there is."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def begin(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        for number in self._early:
            child.send_signal(number)

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._child.send_signal(number)


@contextmanager
def _held_signals() -> Iterator[_PassOn]:
    pass_on = _PassOn()
    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield pass_on
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
