"""What the Kubernetes API answers, where that is more than the object itself."""

from dataclasses import dataclass, field
from typing import Any

KubeObject = dict[str, Any]
"""An object as JSON has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to an object.

    Attributes:
        type: `ADDED`, `MODIFIED`, `DELETED`, or `BOOKMARK`, whose object has nothing but a new resourceVersion.
        object: as it is now; as it was last, when it was deleted.
    """

    type: str
    object: KubeObject

    @property
    def version(self) -> str:
        """The resourceVersion from which another watch goes on."""
        return str((self.object.get("metadata") or {}).get("resourceVersion", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether something is allowed, and why (often empty)."""

    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token of a service account, and for how many seconds it was granted."""

    text: str = field(repr=False)
    seconds: float
