"""Reading pods as Kubernetes has them: containers, how they ended, and what they say of it.  Pure."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from staging_protocol.api.reports import Report
from staging_protocol.errors import InvalidRequest
from staging_protocol.pod_contract import INIT_CONTAINER
from staging_protocol.printable import printable
from staging_protocol.wire import decode

Pod = Mapping[str, Any]
State = Mapping[str, Any]
"""Of a container: `waiting`, `running` or `terminated`."""

SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
INIT: Final = "initContainerStatuses"
MAIN: Final = "containerStatuses"
_SPARK_CONTAINERS: Final = ("spark-kubernetes-driver", "spark-kubernetes-executor")
_ONLY_DRIVERS_HAVE: Final = "SPARK_DRIVER_BIND_ADDRESS"
_OUT_OF_MEMORY: Final = "OOMKilled"
_MOST_WORDS: Final = 600


def name_of(pod: Pod) -> str:
    """Return the pod's name."""
    return str(pod["metadata"]["name"])


def phase_of(pod: Pod) -> str:
    """Return the pod's phase."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def on_node(pod: Pod) -> str:
    """Return ` on node NAME`, or nothing."""
    node = pod["spec"].get("nodeName")
    return f" on node {node}" if node else ""


def is_going(pod: Pod) -> bool:
    """Whether somebody has deleted it."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def conditions(pod: Pod) -> dict[str, Mapping[str, Any]]:
    """Return the conditions by their types."""
    return {str(one.get("type")): one for one in (pod.get("status") or {}).get("conditions") or []}


def spark_container(pod: Pod) -> str:
    """Return the name of Spark's container: the usual one, else that with Spark's variables, else the first."""
    containers = pod["spec"]["containers"]
    names = [str(container["name"]) for container in containers]
    for usual in _SPARK_CONTAINERS:
        if usual in names:
            return usual
    for container in containers:
        if any(variable.get("name") == _ONLY_DRIVERS_HAVE for variable in container.get("env") or []):
            return str(container["name"])
    return names[0]


def image_of(pod: Pod, container: str) -> str:
    """Return the image of a container as the pod names it."""
    named = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    return next((str(one.get("image") or "") for one in named if one["name"] == container), "")


def states(pod: Pod, key: str) -> dict[str, State]:
    """Return the states of containers by name; `key` is INIT or MAIN.  Sidecars among init containers are left out."""
    statuses = (pod.get("status") or {}).get(key) or []
    sidecars = {
        one["name"] for one in pod["spec"].get("initContainers") or [] if one.get("restartPolicy") == "Always"
    }  # fmt: skip
    return {str(one["name"]): one.get("state") or {} for one in statuses if one["name"] not in sidecars}


def spark_ended(pod: Pod) -> Mapping[str, Any]:
    """Return how Spark's container ended; empty while it has not."""
    return (states(pod, MAIN).get(spark_container(pod)) or {}).get("terminated") or {}


def has_ended(pod: Pod, container: str) -> bool:
    """Whether a container has ended, and so its log."""
    known = states(pod, INIT) | states(pod, MAIN)
    return phase_of(pod) in {SUCCEEDED, FAILED} or "terminated" in known.get(container, {})


def failed(pod: Pod, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the containers that failed, with how they ended; `key` is INIT or MAIN."""
    for name, state in states(pod, key).items():
        ended = state.get("terminated") or {}
        if ended.get("exitCode"):
            yield name, ended


def ending(ended: Mapping[str, Any]) -> str:
    """Return how a container ended, as the end of a sentence."""
    if ended.get("reason") == _OUT_OF_MEMORY:
        return "was killed because it used more memory than its limit (OOMKilled)"
    signal = ended.get("signal")
    words = f"was ended by signal {signal}" if signal else f"ended with exit code {ended.get('exitCode')}"
    # StartError, ContainerCannotRun, DeadlineExceeded, …
    return words if ended.get("reason") in {None, "", "Error", "Completed"} else f"{words} ({ended['reason']})"


def said(name: str, ended: Mapping[str, Any]) -> str:
    """Return what a container said of its end, after a colon; our init container writes a report."""
    message = str(ended.get("message") or "").strip()
    if name == INIT_CONTAINER:
        with suppress(InvalidRequest):  # it was cut off, or the kubelet wrote it
            message = decode(message.encode(), into=Report).detail or ""
    return f": {shortened(message)}" if message else ""


def joined(reason: str, message: object) -> str:
    """Return `REASON: MESSAGE`, of what there is of the message."""
    return f"{reason}: {shortened(str(message))}" if message else reason


def shortened(text: str) -> str:
    """Return words of others in one harmless line that is not too long."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}…"
