"""Decides whether a finished job kept the promises; the demo prints the faults, the tests want none."""

from typing import Final

from staging_protocol.pod_contract import INIT_CONTAINER
from tests.kube.evidence import unrestricted
from tests.kube.probe import EXECUTORS, Finished

DEPENDENCIES: Final = ("main", "jar", "module", "package", "archive", "file")
NEVER_FETCHED: Final = ("jar", "pyfile", "archive", "other")
"""Kinds that executors must find on their own disk; files may be fetched, where `spark.files` names them."""


def faults(finished: Finished) -> list[str]:
    """Return all broken promises in words; none is the good case."""
    if finished.phase != "Succeeded" or finished.seen is None:
        end = _end(finished.driver_log or finished.submit_output)
        return [f"the driver ended as {finished.phase}\n{end}", *_not_reported(finished)]
    return [*_unused(finished), *_fetched(finished), *_not_reported(finished), *_not_restricted(finished)]


def _unused(finished: Finished) -> list[str]:
    found = []
    for dependency in DEPENDENCIES:
        if not finished.used_by_driver(dependency):
            found.append(f"the driver did not use {dependency}")
        if finished.used_by_executors(dependency) != EXECUTORS:
            found.append(f"{dependency} was used by {finished.used_by_executors(dependency)} executors")
    return found


def _fetched(finished: Finished) -> list[str]:
    found = [f"{finished.fetches[kind]} fetches of kind {kind}" for kind in NEVER_FETCHED if finished.fetches[kind]]
    # Without this a log that is empty, or worded otherwise by another Spark, would pass.
    if not all(finished.own_disk):
        found.append(f"jars that executors read from their own disk: {finished.own_disk}")
    return found


def _not_reported(finished: Finished) -> list[str]:
    return [
        f"the init container of {outcome.pod} ended with {outcome.exit_code}: {dict(outcome.message)}"
        for outcome in finished.inits
        if outcome.exit_code != 0 or outcome.message.get("outcome") != "succeeded"
    ] + [
        f"the server has no report of {outcome.pod}"
        for outcome in finished.inits
        if outcome.pod not in {report["pod"] for report in finished.reports}
    ]


def _not_restricted(finished: Finished) -> list[str]:
    return [
        f"{INIT_CONTAINER} of {pod['metadata']['name']}: {problem}"
        for pod in finished.pods
        for problem in unrestricted(pod, container=INIT_CONTAINER)
    ]


def _end(log: str) -> str:
    return "\n".join(log.splitlines()[-30:])
