"""What `retention` decides by: all that is known about one bundle at one moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from staging_protocol.api.bundles import Pin
from staging_protocol.owners import OwnerReference


class Life(Enum):
    """What is known about the life of something in Kubernetes."""

    UNOBSERVED = "unobserved"  # no Kubernetes is connected: nobody asked
    UNKNOWN = "unknown"  # asked, without a clear answer
    EXPECTED = "expected"  # never seen: named before it exists
    ALIVE = "alive"
    MISSING = "missing"  # was there and is not any more, which is not confirmed yet
    ENDED = "ended"  # gone, or finished for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is known of an owner, or of the pods.

    Attributes:
        ended_at: goes with `Life.ENDED`.
        last_seen: when it was last there; None when it never was.
        absent_since: goes with `Life.MISSING`.
        listed_at: when the list was begun that says that it is not there; None where no list is needed for that.
    """

    life: Life = Life.UNOBSERVED
    ended_at: datetime | None = None
    last_seen: datetime | None = None
    absent_since: datetime | None = None
    listed_at: datetime | None = None

    @property
    def was_there(self) -> bool:
        """Whether Kubernetes has shown it at least once."""
        if self.life is Life.UNKNOWN:
            return self.last_seen is not None
        return self.life in {Life.ALIVE, Life.MISSING, Life.ENDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner(Observed):
    """The object that a bundle is bound to.

    `is_in_doubt` says that what was seen may have been another one that had its name: the bundle may be unclaimed yet.
    `sure_at` is when seeing it once more makes sure that it is the one; None when it is.
    """

    reference: OwnerReference
    is_in_doubt: bool = False
    sure_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods(Observed):
    """The labelled pods of the bundle's own tenant: the first `names` and the `count` of those alive."""

    names: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about one bundle.  `time_to_live` is what its submitter asked for."""

    created_at: datetime
    last_activity_at: datetime
    time_to_live: timedelta | None = None
    lease_until: datetime | None = None
    pin: Pin | None = None
    owner: Owner | None = None
    pods: Pods = Pods()

    @property
    def observed(self) -> tuple[Observed, ...]:
        """What Kubernetes can show of it."""
        return (self.pods,) if self.owner is None else (self.pods, self.owner)
