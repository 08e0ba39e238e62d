"""Signals wait while something is under way that must not be cut in two."""

import signal

import pytest

from staging_protocol.errors import Terminated
from submission.submit.interrupts import hangup_ends, held


def interrupted(*numbers: signal.Signals, told: list[str]) -> None:
    """Do something, and note it, while signals come."""
    with held(told.append, until="it is done"):
        for number in numbers:
            signal.raise_signal(number)
        told.append("done")


def test_the_first_signal_waits_until_the_body_is_done() -> None:
    told: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        interrupted(signal.SIGINT, told=told)

    assert told == ["stopping, as soon as it is done; once more to leave at once", "done"]


def test_a_second_one_does_not_wait() -> None:
    told: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        interrupted(signal.SIGINT, signal.SIGINT, told=told)

    assert "done" not in told


def test_afterwards_signals_are_what_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    with hangup_ends(), held(lambda _: None, until="it is done"):
        pass

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_closed_terminal_ends_in_order_and_nohup_stays_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the suite itself may have been started by nohup
    try:
        with pytest.raises(Terminated), hangup_ends():
            signal.raise_signal(signal.SIGHUP)

        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with hangup_ends(), held(lambda _: None, until="it is done"):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
