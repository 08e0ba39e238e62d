"""What the retention asks of Kubernetes, and what an answer looks like.

    a bundle's owner reference, its label  →  `Sights`  →  `Sight`  →  `history.learn`  →  `retention.decide`

`Sights` never waits and never calls: whoever implements it (`cluster.watched`) keeps what the watches told in memory.
A sight is what is known at this moment; only together with the stored history of the bundle it becomes a fact, because
an absence counts only when a watch and a fresh list, some time apart, agree (DESIGN 8).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Protocol

from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.tenants import Tenant


class Seen(Enum):
    """What Kubernetes says of an owner, or of the pods with a bundle's label."""

    UNOBSERVED = "unobserved"  # no Kubernetes is connected: nobody asked
    UNKNOWN = "unknown"  # asked, without a clear answer: refused, silent, not listed yet, or the watch is broken
    ALIVE = "alive"  # there, and not finished for good
    FINISHED = "finished"  # there, and finished for good
    ABSENT = "absent"  # a list was whole, its watch is unbroken since, and it is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known now.

    Attributes:
        uid: of an owner that is there.
        names: of the live pods, the first few.
        count: of the live pods.
        since: when a finished one finished, by its own status, else when that was first seen.
        listed_at: when the newest whole list was begun, by which it is there, has finished, or is absent.
    """

    seen: Seen
    uid: str | None = None
    names: tuple[str, ...] = ()
    count: int = 0
    since: datetime | None = None
    listed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What may have another life than before, since the last time somebody asked.

    Attributes:
        bundles: ids of pods' labels, with the namespace of the pod.
        owners: namespaces and references without uid.
        all: everything may have changed: a list was made anew, or a watch broke; look at every claimed bundle, too.
    """

    bundles: frozenset[tuple[str, BundleId]] = frozenset()
    owners: frozenset[tuple[str, OwnerReference]] = frozenset()
    all: bool = False


class Sights(Protocol):
    """What the watches know.  Nothing here waits."""

    def owner(self, tenant: Tenant, reference: OwnerReference) -> Sight:
        """Return what is known of an owner in the tenant's own namespace object (cluster, name and uid).

        With `reference.uid` an object of that name and another uid is ABSENT.
        """
        ...

    def pods(self, tenant: Tenant, bundle: BundleId) -> Sight:
        """Return what is known of the pods with the bundle's label in the tenant's own namespace object."""
        ...

    def take_changes(self) -> Changes:
        """Return what changed since the last call, and forget it."""
        ...

    def list_again(self, kinds: Collection[tuple[str, str]] | None = None) -> None:
        """Ask for fresh lists soon, of pods and of these (apiVersion, kind): an absence waits for confirmation."""
        ...


@dataclass(frozen=True, slots=True)
class NoSights:
    """The answer where nothing watches: UNOBSERVED without Kubernetes, UNKNOWN beside a process that watches."""

    seen: Seen = field(default=Seen.UNOBSERVED)

    def owner(self, tenant: Tenant, reference: OwnerReference) -> Sight:
        """Return the one answer."""
        del tenant, reference
        return Sight(seen=self.seen)

    def pods(self, tenant: Tenant, bundle: BundleId) -> Sight:
        """Return the one answer."""
        del tenant, bundle
        return Sight(seen=self.seen)

    def take_changes(self) -> Changes:
        """Return nothing."""
        return Changes()

    def list_again(self, kinds: Collection[tuple[str, str]] | None = None) -> None:
        """Do nothing."""
        del kinds


UNOBSERVED: Final[Sights] = NoSights()
UNKNOWN: Final[Sights] = NoSights(Seen.UNKNOWN)
