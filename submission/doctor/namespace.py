"""Checks of the limits that a namespace has: quotas, and the profile of Pod Security Standards."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from staging_protocol.errors import Denied
from submission.doctor.findings import Finding, fail, ok, unknown, warn
from submission.doctor.setup import Setup
from submission.kube.resources import NAMESPACES, QUOTAS

_LABEL: Final = "pod-security.kubernetes.io/"
_RESTRICTED: Final = "restricted"
_OF_JOBS: Final = frozenset({"pods", "services", "configmaps", "secrets", "cpu", "memory"})
"""What a job uses up."""
_QUANTITY: Final = re.compile(r"(?P<number>[0-9.]+(?:[eE][+-]?[0-9]+)?)(?P<suffix>[numkKMGTPE]?i?)")
_DECIMAL: Final[Mapping[str, float]] = {
    "": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
}  # fmt: skip
_BINARY: Final[Mapping[str, float]] = {
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


def quotas(setup: Setup) -> Finding:
    """Is there room for a job in the quotas?"""
    try:
        found = setup.api.list(QUOTAS, namespace=setup.namespace)["items"]
    except Denied:
        return unknown("we may not look at quotas", fix=f"try: kubectl -n {setup.namespace} describe resourcequota")
    used_up = [words for quota in found for words in _used_up(quota)]
    if used_up:
        return fail(f"used up in namespace {setup.namespace}: {'; '.join(used_up)}")
    names = ", ".join(one["metadata"]["name"] for one in found)
    return ok(f"room in {names}" if names else "none in this namespace")


def pod_security(setup: Setup) -> Finding:
    """Would Pod Security let our pods in?"""
    try:
        found = setup.api.get(NAMESPACES, setup.namespace, namespace=None)
    except Denied:
        return unknown(
            "we may not look at the namespace's labels",
            fix="ask whether its label pod-security.kubernetes.io/enforce is restricted; then submit with "
            "--pod-security restricted",
        )
    labels = found["metadata"].get("labels") or {}
    profiles = {mode: labels.get(f"{_LABEL}{mode}") for mode in ("enforce", "warn", "audit")}
    if setup.given.pod_security == _RESTRICTED or _RESTRICTED not in profiles.values():
        return ok(f"{profiles['enforce'] or 'no profile'} is enforced, and our pods pass it")
    if profiles["enforce"] == _RESTRICTED:
        return fail(f"namespace {setup.namespace} takes pods of the profile restricted only")
    return warn(f"namespace {setup.namespace} wants pods of the profile restricted, and lets others in with a warning")


def _used_up(quota: Mapping[str, Any]) -> Iterator[str]:
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    for name, limit in hard.items():
        plain = name.removeprefix("count/").removeprefix("requests.").removeprefix("limits.").partition(".")[0]
        if plain in _OF_JOBS and quantity(str(used.get(name, "0"))) >= quantity(str(limit)):
            yield f"{name} of {quota['metadata']['name']} ({used.get(name, '0')} of {limit})"


def quantity(text: str) -> float:
    """Return a quantity of Kubernetes (`500m`, `1Gi`) as a number; what is none counts as nothing."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return 0.0
    factors = _BINARY if match["suffix"].endswith("i") else _DECIMAL
    return float(match["number"]) * factors.get(match["suffix"], 0.0)
