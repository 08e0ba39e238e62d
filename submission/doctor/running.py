"""Lets checks look: side by side, each as soon as those that it needs are done, and none longer than its time.

A check that hangs is left behind in its thread, which ends with the process.
"""

import queue
import time
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING

from staging_protocol.errors import StagingError
from submission.doctor.checks import Check, Result
from submission.doctor.findings import Finding, Status, fail, skipped

if TYPE_CHECKING:
    from submission.doctor.setup import Setup

_Answers = queue.SimpleQueue[tuple[str, Finding | BaseException]]


def examine(checks: Sequence[Check], setup: "Setup", *, seconds: float) -> list[Result]:
    """Return what each check found, in their order; a check comes after those that it needs."""
    found = _Examination(checks, setup, seconds=seconds).run()
    return [Result(check=check, finding=found[check.name]) for check in checks]


class _Examination:
    def __init__(self, checks: Sequence[Check], setup: "Setup", *, seconds: float) -> None:
        self._checks = checks
        self._setup = setup
        self._seconds = seconds
        self._found: dict[str, Finding] = {}
        self._causes: dict[str, str] = {}
        self._ends: dict[str, float] = {}
        self._answers: _Answers = queue.SimpleQueue()

    def run(self) -> dict[str, Finding]:
        while True:
            for check in self._checks:
                if check.name not in self._found and check.name not in self._ends:
                    self._begin(check)
            if not self._ends:
                self._explain()
                return self._found
            self._await_one()

    def _begin(self, check: Check) -> None:
        """Start it, skip it, or let it wait for those that it needs."""
        if not all(need in self._found for need in check.needs):
            return
        stopping = next((need for need in check.needs if self._found[need].status.stops), None)
        if stopping is None:
            self._ends[check.name] = time.monotonic() + self._seconds
            Thread(target=_look, args=(check, self._setup, self._answers), daemon=True).start()
            return
        cause = self._causes[check.name] = self._causes.get(stopping, stopping)
        self._found[check.name] = skipped(cause)

    def _await_one(self) -> None:
        """Wait for the next answer, or until the time of a check is over."""
        try:
            name, answer = self._answers.get(timeout=max(0.0, min(self._ends.values()) - time.monotonic()))
        except queue.Empty:
            self._give_up()
            return
        if self._ends.pop(name, None) is None:  # it was given up before
            return
        if not isinstance(answer, Finding):
            raise answer
        self._found[name] = answer

    def _explain(self) -> None:
        """Let failures that others explain count as skipped, and what was skipped because of them."""
        failed = {name: finding for name, finding in self._found.items() if finding.status is Status.FAIL}
        for name, finding in failed.items():
            cause = next((one for one in finding.because if one in failed), None)
            if cause is not None:
                followers = [one for one, other in self._causes.items() if other == name]
                self._found |= dict.fromkeys([name, *followers], skipped(cause))

    def _give_up(self) -> None:
        now = time.monotonic()
        for name in [name for name, end in self._ends.items() if end <= now]:
            del self._ends[name]
            self._found[name] = fail(
                f"no answer within {self._seconds:g} seconds",
                fix="find out what hangs: a firewall that drops packets, a login program that waits; or give more "
                "--timeout",
            )


def _look(check: Check, setup: "Setup", answers: _Answers) -> None:
    try:
        answers.put((check.name, check.look(setup)))
    except StagingError as error:
        answers.put((check.name, fail(error.detail)))
    except BaseException as error:  # noqa: BLE001 - the outermost loop of a thread; the caller raises it
        answers.put((check.name, error))
