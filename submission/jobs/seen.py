"""What was seen of a job while somebody waits for it, and what of that is told."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from submission.jobs.driver_log import DriverLog
from submission.jobs.executors import Executors
from submission.jobs.pending import is_being_made
from submission.jobs.pods import Pod, name_of, phase_of
from submission.jobs.states import DriverOutcome, deleted, has_started, outcome_of, state_of
from submission.jobs.troubles import Troubles
from submission.kube.api import KubeApi

_NUMBERS: Final = re.compile(r"\d+")
_MOST_KEPT: Final = 50


class Seen:
    """The driver, and the executors of its application."""

    def __init__(self, driver: Pod, *, api: KubeApi, say: Callable[[str], None], log: DriverLog | None) -> None:
        self._uid = driver["metadata"]["uid"]
        self._name = name_of(driver)
        self._say = say
        self._log = log
        self._driver = driver
        self._state = ""
        self._told_pending: set[str] = set()
        self._executors = Executors(say)
        self._troubles = Troubles(api, namespace=str(driver["metadata"]["namespace"]), uid=self._uid)
        self.outcome: DriverOutcome | None = None
        self.see(driver)

    @property
    def is_pending(self) -> bool:
        """Whether the driver has not started."""
        return phase_of(self._driver) == "Pending"

    def see(self, pod: Pod) -> None:
        """Note a pod as it is now."""
        if pod["metadata"]["uid"] != self._uid:
            self._executors.see(pod)
            return
        self._driver = pod
        self.outcome = self.outcome or outcome_of(pod)
        state = state_of(pod)
        if state != self._state and self.outcome is None and self._is_news(state):
            self._say(f"driver {self._name} {state}")
        self._state = state
        if self._log is not None and has_started(pod):
            self._log.start()

    def see_all(self, pods: Sequence[Pod]) -> None:
        """Note all pods that there are."""
        self._executors.keep({name_of(pod) for pod in pods})
        for pod in pods:
            self.see(pod)

    def see_end(self, pod: Pod) -> None:
        """Note a pod, as it was last, that is gone."""
        if pod["metadata"]["uid"] != self._uid:
            self._executors.forget(pod)
        else:
            # What it was last may be its end: whoever deletes a finished driver does not make it fail.
            self.outcome = self.outcome or outcome_of(pod) or deleted(pod)

    def miss(self) -> None:
        """Note that the driver is no longer there."""
        self.outcome = self.outcome or deleted(self._driver)

    def look_closer(self) -> None:
        """Tell what Kubernetes warns of, where the driver's pod itself does not say what it waits for."""
        if self.outcome is None and is_being_made(self._driver) and (warning := self._troubles.new()):
            self._say(f"driver {self._name} {self._state}, and is held up: {warning}")

    def _is_news(self, state: str) -> bool:
        """Whether it was not told before: pulling of an image fails by turns, and numbers of nodes change all the time.

        A driver that runs, and does not, and does again is news each time.
        """
        if not self.is_pending:
            return True
        gist = _NUMBERS.sub("#", state)
        if gist in self._told_pending or len(self._told_pending) >= _MOST_KEPT:
            return False
        self._told_pending.add(gist)
        return True
