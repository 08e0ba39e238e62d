"""References to the Kubernetes objects whose life keeps a bundle alive."""

import re
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

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_UID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


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
        InvalidRequest: its kind is not in `OWNER_KINDS`, or its name or uid is none.
    """
    if (owner.api_version, owner.kind) not in OWNER_KINDS:
        known = ", ".join(sorted(f"{kind} ({version})" for version, kind in OWNER_KINDS))
        msg = f"{owner.kind[:80]!r} ({owner.api_version[:80]!r}) cannot own a bundle; one of these can: {known}"
        raise InvalidRequest(msg)
    if len(owner.name) > MAX_NAME or not _NAME.fullmatch(owner.name):
        msg = f"the name of an owner has 1 to {MAX_NAME} characters of a-z, 0-9, '-' and '.', not {owner.name[:80]!r}"
        raise InvalidRequest(msg)
    if owner.uid is not None and not _UID.fullmatch(owner.uid):
        msg = "the uid of an owner has 1 to 64 letters, digits and '-'"
        raise InvalidRequest(msg)
    return owner
