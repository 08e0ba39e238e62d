"""What Kubernetes warns of while a pod is being made: volumes that do not come are told in Events only."""

from typing import Any, Final

from staging_protocol.errors import StagingError
from submission.jobs.pods import joined
from submission.kube.api import KubeApi
from submission.kube.resources import EVENTS

_TOLD_OTHERWISE: Final = frozenset({"FailedScheduling", "Failed", "BackOff"})
"""Reasons of events that say what the pod's status says too."""


class Troubles:
    """The warnings about one pod."""

    def __init__(self, api: KubeApi, *, namespace: str, uid: str) -> None:
        self._api = api
        self._namespace = namespace
        self._fields = f"involvedObject.uid={uid},type=Warning"
        self._told: str | None = None

    def new(self) -> str | None:
        """Return the last warning in words, unless it was returned before; None where we may not look."""
        try:
            found = self._api.list(EVENTS, namespace=self._namespace, fields=self._fields)["items"]
        except StagingError:
            return None  # it only would have been told better
        events = [event for event in found if event.get("reason") not in _TOLD_OTHERWISE]
        if not events:
            return None
        last = max(events, key=_moment)
        words = joined(str(last.get("reason") or "Warning"), last.get("message"))
        if words == self._told:
            return None
        self._told = words
        return words


def _moment(event: dict[str, Any]) -> str:
    # Times of one zone and nearly one form: as texts they are in the order of time, to the second.
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return str(next((time for time in times if time), ""))
