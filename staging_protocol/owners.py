"""References to the Kubernetes objects whose life keeps a bundle alive."""

from typing import Final

import msgspec

from staging_protocol.errors import InvalidRequest

OWNER_KINDS: Final = frozenset(
    {
        ("v1", "Pod"),
        ("batch/v1", "Job"),
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication"),
        ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication"),
        ("spark.apache.org/v1", "SparkApplication"),
    }
)
"""(apiVersion, kind) of every object that can own a bundle; the server's RBAC is rendered from it."""

MAX_NAME: Final = 253
"""Longest name of a Kubernetes object (RFC 1123 subdomain)."""


class OwnerReference(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An object in the bundle's own namespace; without `uid` it may be named before it exists."""

    api_version: str
    kind: str
    name: str
    uid: str | None = None

    def __str__(self) -> str:
        """Return `kind/name`, as kubectl writes it."""
        return f"{self.kind}/{self.name}"


def check_owner(owner: OwnerReference) -> OwnerReference:
    """Return `owner` when it can own a bundle.

    Raises:
        InvalidRequest: its kind is not in `OWNER_KINDS`, or it has no usable name.
    """
    if (owner.api_version, owner.kind) not in OWNER_KINDS:
        known = ", ".join(sorted(f"{kind} ({version})" for version, kind in OWNER_KINDS))
        msg = f"{owner.kind} ({owner.api_version}) cannot own a bundle; one of these can: {known}"
        raise InvalidRequest(msg)
    if not 0 < len(owner.name) <= MAX_NAME:
        msg = f"the name of an owner has 1 to {MAX_NAME} characters"
        raise InvalidRequest(msg)
    return owner
