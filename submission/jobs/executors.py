"""Executors in a few words: how many run, and which ones fail.

A job may have a thousand of them, so counts are told when all that were asked for run, or twice as many as were told
last, and only the first failures one by one.
"""

from collections.abc import Callable
from typing import Final

from staging_protocol.counted import counted
from submission.jobs.pending import CANNOT, WAITS_FOR_NODE, why_pending
from submission.jobs.pods import Pod, is_going, name_of, phase_of
from submission.jobs.states import why_failed

_MOST_TOLD: Final = 5
"""Failures that are told one by one; with the next ones only their number is."""

_RUNNING: Final = "running"


class Executors:
    """The executors of one application."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._living: dict[str, str] = {}
        self._failed = 0
        self._told = 0

    def see(self, pod: Pod) -> None:
        """Note an executor as it is now."""
        if (pod["metadata"].get("labels") or {}).get("spark-role") != "executor":
            return
        match phase_of(pod):
            case "Succeeded":
                self.forget(pod)
            case "Failed":
                self._see_failed(pod)
            case "Pending":
                self._see_pending(pod)
            case _:
                self._living[name_of(pod)] = _RUNNING
        self._tell_more()

    def forget(self, pod: Pod) -> None:
        """Note that an executor is gone; that is no news: its driver was done with it."""
        self._living.pop(name_of(pod), None)
        self._told = min(self._told, self._running)

    def keep(self, names: set[str]) -> None:
        """Note that there are no others."""
        self._living = {name: state for name, state in self._living.items() if name in names}
        self._told = min(self._told, self._running)

    @property
    def _running(self) -> int:
        return sum(state == _RUNNING for state in self._living.values())

    def _see_pending(self, pod: Pod) -> None:
        name, words = name_of(pod), why_pending(pod)
        is_trouble = words.startswith((CANNOT, WAITS_FOR_NODE))
        if is_trouble and words not in self._living.values():  # one speaks for all that wait for the same
            self._say(f"executor {name} {words}")
        self._living[name] = words if is_trouble else "pending"

    def _see_failed(self, pod: Pod) -> None:
        is_new = name_of(pod) in self._living
        self._living.pop(name_of(pod), None)
        if not is_new or is_going(pod):  # its driver ends it
            self._told = min(self._told, self._running)
            return
        self._failed += 1
        if self._failed <= _MOST_TOLD:
            self._say(f"executor {name_of(pod)} failed: {why_failed(pod)}")
            self._tell()
        elif self._failed & (self._failed - 1) == 0:  # 8, 16, 32, …
            self._say(f"{self._failed} executors have failed so far")

    def _tell_more(self) -> None:
        running = self._running
        is_whole = running == len(self._living) and self._failed <= _MOST_TOLD
        if running > self._told and (is_whole or running >= 2 * self._told):
            self._tell()

    def _tell(self) -> None:
        running = self._running
        if running != self._told:
            more = len(self._living) - running
            waiting = f", {more} not yet" if more else ""
            self._say(f"{counted(running, 'executor')} running{waiting}")
            self._told = running
