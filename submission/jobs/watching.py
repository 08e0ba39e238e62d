"""Waiting for a driver: one watch of all pods of its application, a line for each change, and how it ended.

    list ──▶ watch ──▶ watch ──▶ …        a watch ends by itself after a while, and goes on where it was
      ▲        └─ 410 Gone, or a break that lasts: list again

The API server may be away for any time: that is told once, and the waiting goes on.  Memory does not grow with the
job's age: of each living executor only the last words are kept, of those that ended a number.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from staging_protocol.errors import DeadlineExceeded, NotFound, StagingError
from submission.jobs.driver_log import DriverLog
from submission.jobs.last_lines import show_last_lines
from submission.jobs.patience import Patience
from submission.jobs.pods import Pod, name_of, spark_container
from submission.jobs.seen import Seen
from submission.jobs.states import DriverOutcome
from submission.kube.api import KubeApi
from submission.kube.errors import Gone
from submission.kube.resources import PODS

_WATCHED_FOR: Final = 60.0
"""Seconds of one watch: a network that dies silently is noticed after them."""

_LOOKED_AT_AFTER: Final = 15.0
"""Seconds of one watch while the driver is pending: after each, warnings about its pod are looked at."""

_APPLICATION: Final = "spark-app-selector"

Say = Callable[[str], None]


def wait_for_driver(
    api: KubeApi, *, namespace: str, pod: str, say: Say, follow: bool = False, seconds: float | None = None
) -> DriverOutcome:
    """Wait for the end of a driver, and return how it ended.

    Args:
        api: of the cluster.
        namespace: of the job.
        pod: name of the driver's pod.
        say: tells a line.
        follow: whether the driver's log is written to standard output while it runs.
        seconds: for about how long; None: until it has ended.

    Raises:
        NotFound: there is no such pod.
        DeadlineExceeded: it has not ended in `seconds`.
        StagingError: we may not look.
    """
    began = time.monotonic()
    driver = api.get(PODS, pod, namespace=namespace)
    log = DriverLog(api, namespace=namespace, pod=pod, container=spark_container(driver), say=say) if follow else None
    try:
        outcome = _Waiting(driver, api=api, say=say, log=log, seconds=seconds).outcome()
    except BaseException:  # an interruption too: nothing is waited for then
        if log is not None:
            log.leave()
        raise
    if log is not None:
        log.end()
    elif outcome.exit_code and outcome.has_log:
        show_last_lines(api, driver, say=say)
    lasted = _lasted(time.monotonic() - began)
    say(
        f"driver {pod} succeeded after {lasted}"
        if not outcome.reason
        else f"driver {pod} failed after {lasted} with exit code {outcome.exit_code}: {outcome.reason}"
    )
    return outcome


class _Waiting:
    """One list and many watches."""

    def __init__(self, driver: Pod, *, api: KubeApi, say: Say, log: DriverLog | None, seconds: float | None) -> None:
        self._name = name_of(driver)
        self._uid = driver["metadata"]["uid"]
        self._namespace = str(driver["metadata"]["namespace"])
        application = (driver["metadata"].get("labels") or {}).get(_APPLICATION)
        self._labels = f"{_APPLICATION}={application}" if application else ""
        self._fields = "" if application else f"metadata.name={self._name}"
        self._api = api
        self._seen = Seen(driver, api=api, say=say, log=log)
        self._seconds = math.inf if seconds is None else seconds
        self._ends = time.monotonic() + self._seconds
        self._patience = Patience(say, ends=self._ends)
        self._version: str | None = None

    def outcome(self) -> DriverOutcome:
        """Look until the driver has ended."""
        while self._seen.outcome is None:
            try:
                if self._version is None:
                    self._list()
                    self._patience.answered()
                self._watch()
                self._patience.lasted()
                self._seen.look_closer()
            except Gone:
                self._version = None
            except StagingError as error:
                self._patience.wait_after(error)
                if self._patience.is_tried:
                    self._version = None
            if self._seen.outcome is None and time.monotonic() >= self._ends:
                msg = f"driver {self._name} has not ended in {_lasted(self._seconds)}"
                raise DeadlineExceeded(msg)
        return self._seen.outcome

    def _list(self) -> None:
        """Look at all pods; watches go on from there."""
        found = self._api.list(PODS, namespace=self._namespace, labels=self._labels, fields=self._fields)
        pods = found["items"]
        if not any(pod["metadata"]["uid"] == self._uid for pod in pods) and self._is_gone():
            self._seen.miss()
        self._seen.see_all(pods)
        self._version = str(found["metadata"]["resourceVersion"])

    def _is_gone(self) -> bool:
        """Ask for the pod itself: it may have lost the label of its application."""
        try:
            pod = self._api.get(PODS, self._name, namespace=self._namespace)
        except NotFound:
            return True
        self._seen.see(pod)
        return bool(pod["metadata"]["uid"] != self._uid)

    def _watch(self) -> None:
        if self._seen.outcome is not None or self._version is None:
            return
        events = self._api.watch(
            PODS,
            namespace=self._namespace,
            version=self._version,
            seconds=min(_LOOKED_AT_AFTER if self._seen.is_pending else _WATCHED_FOR, self._ends - time.monotonic()),
            labels=self._labels,
            fields=self._fields,
        )
        for event in events:
            self._patience.lasted()
            self._version = event.version
            if event.type == "DELETED":
                self._seen.see_end(event.object)
            elif event.type != "BOOKMARK":
                self._seen.see(event.object)
            if self._seen.outcome is not None:
                return


def _lasted(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
