"""Decides whether a bundle lives.  Pure: facts in, decision out; `sweeper` acts, `explain` says it in words.

A bundle lives while any claim holds (DESIGN 8):

    age             it is younger than the minimum age
    time-to-live    nothing has claimed it yet, and its last activity is recent
    pod             a pod that runs, or may run again, carries its label
    owner           the object that it is bound to is there, or may yet appear
    grace           its owner or last pod ended a short while ago
    lease           the submitter of a client-mode driver renewed it
    pin             somebody holds it, with a reason

What Kubernetes did not clearly answer is *unknown*, and unknown keeps.  Where no Kubernetes is connected nothing was
asked, so owners and pods claim nothing and the time to live decides (docs/decisions/0002-owners-without-kubernetes.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from staging_protocol.api import Claim, Pin
from staging_protocol.owners import OwnerReference

_NAMES: Final = 10
"""Pods that an explanation names; a job may have thousands."""


class Life(Enum):
    """What is known about the life of something in Kubernetes."""

    UNOBSERVED = "unobserved"  # no Kubernetes is connected: nobody asked
    UNKNOWN = "unknown"  # asked, without a clear answer
    EXPECTED = "expected"  # named before it exists
    ALIVE = "alive"
    ENDED = "ended"  # gone, or finished for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The object that a bundle is bound to; `ended_at` goes with `Life.ENDED`."""

    reference: OwnerReference
    life: Life = Life.UNOBSERVED
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The labelled pods of the bundle's own tenant; `names` of those alive, `ended_at` of the last one that ended."""

    life: Life = Life.UNOBSERVED
    names: tuple[str, ...] = ()
    ended_at: datetime | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operators decided."""

    time_to_live: timedelta
    max_time_to_live: timedelta
    min_age: timedelta
    grace: timedelta = timedelta(hours=1)

    def time_to_live_of(self, asked: timedelta | None) -> timedelta:
        """Return the time to live that a bundle gets; the policy may have become stricter since it was asked for."""
        return self.time_to_live if asked is None else min(asked, self.max_time_to_live)


@dataclass(frozen=True, slots=True)
class _Reason:
    """A claim, with its words still unsaid: most decisions are never read by anybody."""

    kind: str
    holds: bool
    until: datetime | None
    words: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the bundle stays.

    `until` is when that has to be decided again; None while only an event can change it.
    """

    keep: bool
    until: datetime | None
    _reasons: tuple[_Reason, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims that were looked at, in words, the ones that hold first."""
        first = sorted(self._reasons, key=lambda reason: not reason.holds)
        return tuple(
            Claim(kind=reason.kind, holds=reason.holds, detail=reason.words(), until=reason.until) for reason in first
        )

    @property
    def reason(self) -> str:
        """Why it stays, or why nothing keeps it."""
        said = [claim for claim in self.claims if claim.holds == self.keep]
        # That it is old enough to end explains no end.
        return "; ".join(claim.detail for claim in said if self.keep or claim.kind != "age")


def decide(facts: Facts, policy: Policy, now: datetime) -> Decision:
    """Return whether the bundle of `facts` lives at `now`."""
    reasons = tuple(_claims(facts, policy, now))
    ends = [reason.until for reason in reasons if reason.holds]
    known = [end for end in ends if end is not None]
    until = max(known) if known and len(known) == len(ends) else None
    return Decision(keep=bool(ends), until=until, _reasons=reasons)


def _claims(facts: Facts, policy: Policy, now: datetime) -> Iterator[_Reason]:
    claimed = _was_claimed(facts)
    yield _timed("age", facts.created_at + policy.min_age, now, lambda: "the minimum age")
    if not claimed:
        yield _time_to_live(facts, policy, now)
    if facts.owner is not None:
        yield _owner(facts.owner)
    if facts.pods.life is not Life.UNOBSERVED:
        yield _pods(facts.pods)
    if claimed:
        yield _grace(facts, policy, now)
    if facts.lease_until is not None:
        yield _timed("lease", facts.lease_until, now, lambda: "a lease")
    if facts.pin is not None:
        yield _pin(facts.pin, now)


def _was_claimed(facts: Facts) -> bool:
    """Tell whether Kubernetes has shown an owner or a pod of the bundle at least once."""
    owner = facts.owner is not None and facts.owner.life in {Life.ALIVE, Life.ENDED}
    return owner or facts.pods.life is Life.ENDED or bool(facts.pods.names)


def _time_to_live(facts: Facts, policy: Policy, now: datetime) -> _Reason:
    time_to_live = policy.time_to_live_of(facts.time_to_live)

    def what() -> str:
        return f"the time to live of {_words(time_to_live)} since the last activity at {_clock(facts.last_activity_at)}"

    return _timed("time-to-live", facts.last_activity_at + time_to_live, now, what)


def _owner(owner: Owner) -> _Reason:
    name = str(owner.reference)
    match owner.life:
        case Life.UNOBSERVED:
            holds, words = False, f"{name} is the owner, but no Kubernetes is connected that knows of its life"
        case Life.UNKNOWN:
            holds, words = True, f"it is not known whether {name} lives, and unknown keeps"
        case Life.EXPECTED:
            # Its time to live keeps such a bundle; an owner that never comes must not keep it for ever.
            holds, words = False, f"{name} has not appeared yet"
        case Life.ALIVE:
            holds, words = True, f"{name} lives"
        case Life.ENDED:
            holds, words = False, f"{name} has ended"
    return _Reason("owner", holds, None, lambda: words)


def _pods(pods: Pods) -> _Reason:
    if pods.life is Life.UNKNOWN:
        return _Reason("pod", True, None, lambda: "it is not known whether a pod uses it, and unknown keeps")
    if pods.names:
        return _Reason("pod", True, None, lambda: f"in use by pod {', '.join(pods.names[:_NAMES])}")
    return _Reason("pod", False, None, lambda: "no live pod carries its label")


def _grace(facts: Facts, policy: Policy, now: datetime) -> _Reason:
    of_owner = None if facts.owner is None else facts.owner.ended_at
    ends = [ended for ended in (of_owner, facts.pods.ended_at) if ended is not None]
    if not ends:
        return _Reason("grace", False, None, lambda: "the grace begins when its owner and pods have ended")
    what = f"the grace of {_words(policy.grace)} after the last owner or pod ended"
    return _timed("grace", max(ends) + policy.grace, now, lambda: what)


def _pin(pin: Pin, now: datetime) -> _Reason:
    if pin.until is None:
        return _Reason("pin", True, None, lambda: f"pinned without end: {pin.reason}")
    return _timed("pin", pin.until, now, lambda: f"the pin ({pin.reason})")


def _timed(kind: str, until: datetime, now: datetime, what: Callable[[], str]) -> _Reason:
    holds = now < until
    return _Reason(kind, holds, until, lambda: f"{what()} {'ends' if holds else 'ended'} at {_clock(until)}")


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def _words(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
