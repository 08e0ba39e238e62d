"""Why a pod has not started yet, in words.  Pure."""

from typing import Any, Final

from staging_protocol.pod_contract import INIT_CONTAINER
from submission.jobs.pods import INIT, MAIN, Pod, State, conditions, ending, image_of, joined, on_node, said, states

WAITS_FOR_NODE: Final = "waits for a node"
CANNOT: Final = "cannot "
_BEING_MADE: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Reasons of waiting that are no trouble."""

_NO_IMAGE: Final = frozenset(
    {
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
        "RegistryUnavailable", "SignatureValidationFailed",
    }
)  # fmt: skip


def why_pending(pod: Pod) -> str:
    """Return what holds the pod up, as the end of a sentence that begins with its name."""
    scheduled = conditions(pod).get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return _without_node(pod, scheduled)
    for what, key in (("init container", INIT), ("container", MAIN)):
        for name, state in states(pod, key).items():
            if words := _trouble(pod, f"its {what} {name}", name, state):
                return words
            if "running" in state and key == INIT:
                return "fetches its dependencies" if name == INIT_CONTAINER else f"runs its init container {name}"
    return f"is being made{on_node(pod)}" if scheduled else "waits for its scheduler"


def is_being_made(pod: Pod) -> bool:
    """Whether it has a node, and nothing in it says why it does not start: volumes are waited for without a word."""
    return conditions(pod).get("PodScheduled", {}).get("status") == "True" and why_pending(pod).startswith("is being")


def _without_node(pod: Pod, scheduled: Any) -> str:
    if scheduled.get("reason") == "SchedulingGated":
        gates = ", ".join(str(gate.get("name")) for gate in pod["spec"].get("schedulingGates") or [])
        return joined("waits until it is admitted", gates)
    return joined(WAITS_FOR_NODE, scheduled.get("message"))


def _trouble(pod: Pod, which: str, name: str, state: State) -> str | None:
    if (ended := state.get("terminated")) and ended.get("exitCode"):
        return f"waits after {which} {ending(ended)}{said(name, ended)}"
    waiting = state.get("waiting") or {}
    reason = str(waiting.get("reason") or "")
    if reason in _BEING_MADE:
        return None
    why = joined(reason, waiting.get("message"))
    return f"{CANNOT}pull {image_of(pod, name)} for {which}: {why}" if reason in _NO_IMAGE else (
        f"{CANNOT}start {which}: {why}"
    )  # fmt: skip
