"""Reads what a finished job left behind: what it found, what its executors fetched, what its init containers reported.

Everything here is pure; `probe` gathers the logs and objects.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

PROBE: Final = re.compile(r"^PROBE (\{.*\})$", re.MULTILINE)
FETCHED: Final = re.compile(r"Fetching spark://[^/\s]+/(jars|files|directories|artifacts|\w+)/(\S+)")
OWN_DISK: Final = re.compile(r"Fetching file:(/var/spark-data/\S+)")

KINDS: Final = ("jar", "file", "pyfile", "archive")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The markers that a job found, by dependency, on the driver and on each executor."""

    driver: Mapping[str, str]
    executors: Mapping[str, Mapping[str, str]]


def parse_probe(driver_log: str) -> Seen | None:
    """Return what the job printed, or None when it died before that."""
    found = PROBE.search(driver_log)
    if found is None:
        return None
    answer = json.loads(found[1])
    return Seen(driver=answer["driver"], executors=answer["executors"])


def fetched_from_driver(executor_log: str) -> set[str]:
    """Return the names that an executor fetched by `spark://`; Spark logs each fetch more than once."""
    return {name for _, name in FETCHED.findall(executor_log)}


def read_from_own_disk(executor_log: str) -> set[str]:
    """Return the paths of jars that an executor took from its own volume."""
    return set(OWN_DISK.findall(executor_log))


def count_fetches(executor_logs: Iterable[str], *, kinds: Mapping[str, str]) -> dict[str, int]:
    """Count the fetches of all executors by kind.

    Spark serves Python files and archives under the same path as files, so the kind is looked up by the file's name;
    what has no known name counts as `other`.
    """
    counts = Counter(kinds.get(name, "other") for log in executor_logs for name in fetched_from_driver(log))
    return {kind: counts[kind] for kind in (*KINDS, "other")}


@dataclass(frozen=True, kw_only=True)
class InitOutcome:
    """How an init container ended, by its pod's status."""

    pod: str
    role: str
    exit_code: int | None
    message: Mapping[str, Any]


def init_outcome(pod: Mapping[str, Any], *, container: str) -> InitOutcome:
    """Return how a pod's init container ended; `exit_code` is None when it has not."""
    metadata = pod["metadata"]
    statuses = pod["status"].get("initContainerStatuses", [])
    states = {status["name"]: status["state"] for status in statuses}
    ended = states.get(container, {}).get("terminated", {})
    return InitOutcome(
        pod=metadata["name"],
        role=metadata.get("labels", {}).get("spark-role", ""),
        exit_code=ended.get("exitCode"),
        message=_object(ended.get("message", "")),
    )


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {"unreadable": text}
    return value if isinstance(value, dict) else {"unreadable": text}


def unrestricted(pod: Mapping[str, Any], *, container: str) -> list[str]:
    """Say what keeps a pod's container from the `restricted` Pod Security Standard and our own stricter rules."""
    spec = pod["spec"]
    found = [item for item in (*spec.get("initContainers", []), *spec["containers"]) if item["name"] == container]
    if not found:
        return [f"there is no container {container}"]
    context = spec.get("securityContext", {}) | found[0].get("securityContext", {})
    rules = {
        "allowPrivilegeEscalation is not false": context.get("allowPrivilegeEscalation") is False,
        "the root file system can be written": context.get("readOnlyRootFilesystem") is True,
        "not all capabilities are dropped": context.get("capabilities", {}).get("drop") == ["ALL"],
        "there is no seccomp profile": "seccompProfile" in context,
        "root is not refused": context.get("runAsNonRoot") is True,
        "a user is set, which some clusters refuse": "runAsUser" not in context,
    }
    return [problem for problem, kept in rules.items() if not kept]
