"""What a pod is doing, in words, and how it ended.  Pure: a pod as Kubernetes has it in, a sentence out.

Kubernetes tells phases; people ask why.  So the first thing that holds the pod up is told: no node, an image that does
not come, an init container that failed, and with what report.
"""

from dataclasses import dataclass
from typing import Final

from submission.jobs.pending import why_pending
from submission.jobs.pods import (
    FAILED,
    INIT,
    MAIN,
    SUCCEEDED,
    Pod,
    conditions,
    ending,
    failed,
    is_going,
    joined,
    on_node,
    phase_of,
    said,
    spark_container,
    spark_ended,
    states,
)

_UNKNOWN_CODE: Final = 1
"""Of a driver that ended without an exit code: its pod was evicted, deleted or lost."""

_DELETED: Final = "Deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverOutcome:
    """How a driver ended.

    Attributes:
        exit_code: of Spark's container, or of the init container that failed; 1 where there is none.
        phase: `Succeeded`, `Failed`, or `Deleted`.
        reason: in words; None for a success.
        has_log: whether Spark's container ran, so that its log says more.
    """

    exit_code: int
    phase: str
    reason: str | None = None
    has_log: bool = False


def state_of(pod: Pod) -> str:
    """Return what the pod is doing now, as the end of a sentence that begins with its name."""
    outcome = outcome_of(pod)
    if outcome is not None:
        return "succeeded" if outcome.reason is None else f"failed: {outcome.reason}"
    if is_going(pod):
        return f"is being deleted{_disruption(pod)}"
    match phase_of(pod):
        case "Pending":
            return why_pending(pod)
        case "Running":
            return f"runs{on_node(pod)}"
        case _:
            return "is not heard of: its node does not answer"


def outcome_of(pod: Pod) -> DriverOutcome | None:
    """Return how the driver ended; None while it has not.

    A driver has ended when Spark's container has, whatever sidecars of its pod go on doing.
    """
    phase, ended = phase_of(pod), spark_ended(pod)
    has_log = bool(ended.get("startedAt"))
    is_over = bool(ended) and pod["spec"].get("restartPolicy") == "Never"
    if phase == SUCCEEDED or (is_over and phase != FAILED and not ended.get("exitCode")):
        return DriverOutcome(exit_code=0, phase=SUCCEEDED, has_log=phase == SUCCEEDED or has_log)
    if phase != FAILED and not is_over:
        return None
    init = next(failed(pod, INIT), None)
    code = ended.get("exitCode") if ended else init[1].get("exitCode") if init else None
    # A success of Spark's container in a pod that failed: another container of it did.
    return DriverOutcome(exit_code=code or _UNKNOWN_CODE, phase=FAILED, reason=why_failed(pod), has_log=has_log)


def deleted(pod: Pod) -> DriverOutcome:
    """Return the outcome of a driver whose pod is gone, from the last that was seen of it."""
    return DriverOutcome(exit_code=_UNKNOWN_CODE, phase=_DELETED, reason=f"its pod was deleted{_disruption(pod)}")


def why_failed(pod: Pod) -> str:
    """Return why a pod failed."""
    status = pod.get("status") or {}
    if status.get("reason"):  # Evicted, NodeLost, Preempting, DeadlineExceeded, …
        return joined(str(status["reason"]), status.get("message"))
    before = f"its pod was deleted{_disruption(pod)}; " if is_going(pod) else ""
    return before + _failure(pod)


def has_started(pod: Pod) -> bool:
    """Whether Spark's container runs, or has run: then it has a log."""
    state = states(pod, MAIN).get(spark_container(pod)) or {}
    return "running" in state or bool((state.get("terminated") or {}).get("startedAt"))


def _failure(pod: Pod) -> str:
    for name, ended in failed(pod, INIT):
        return f"the init container {name} {ending(ended)}{said(name, ended)}"
    main = spark_container(pod)
    # Spark's own first: what stands beside it may have failed because Spark did.
    for name, ended in sorted(failed(pod, MAIN), key=lambda found: found[0] != main):
        return f"{'its container' if name == main else f'the container {name}'} {ending(ended)}{said(name, ended)}"
    return joined("no container says why", (pod.get("status") or {}).get("message"))


def _disruption(pod: Pod) -> str:
    """Return who ends the pod, where Kubernetes does: a drained node, a pod of higher priority, a taint."""
    found = conditions(pod).get("DisruptionTarget") or {}
    if found.get("status") != "True":
        return ""
    return f" ({joined(str(found.get('reason') or 'disrupted'), found.get('message'))})"
