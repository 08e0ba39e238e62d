"""The claims on a bundle: whether each holds, until when, and how to say it.  Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from staging_protocol.api.bundles import Pin
from staging_server.retention.facts import Facts, Life, Observed, Owner, Pods
from staging_server.retention.history import CONFIRM_AFTER
from staging_server.retention.policies import Policy
from staging_server.times import clock_text, duration_text

KINDS: Final = ("age", "time-to-live", "pod", "owner", "grace", "lease", "pin", "confirmation")
"""Kinds of claims, in the order of their bits in `retention.Decision.mask`."""

_NAMES: Final = 10
"""Pods that an explanation names; a job may have thousands."""

ASK_AGAIN: Final = timedelta(minutes=5)
"""When a bundle that Kubernetes never claimed is looked at again while its answer is unknown; claimed ones change with
an event."""

_SOON: Final = timedelta(seconds=1)
"""When a bundle is looked at again whose confirmation is due: in the next sweep, not once more in this one."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A claim, with its words still unsaid: most decisions are never read by anybody.

    Attributes:
        look_at: when the sweep has to look again; None when an event tells it.
        list_after: when the list has to be begun that this claim waits for; None when it waits for none.
    """

    kind: str
    holds: bool
    until: datetime | None
    look_at: datetime | None
    words: Callable[[], str]
    list_after: datetime | None = None


def reasons_of(facts: Facts, policy: Policy, now: datetime) -> Iterator[Reason]:
    """Yield every claim that can be, whether it holds or not."""
    claimed = facts.pods.was_there or (facts.owner is not None and facts.owner.was_there)
    in_doubt = not facts.pods.was_there and facts.owner is not None and facts.owner.is_in_doubt
    yield _timed("age", facts.created_at + policy.min_age, now, lambda: f"the minimum age{policy.by('min_age')}")
    if not claimed or in_doubt:
        yield _time_to_live(facts, policy, now)
    if facts.owner is not None:
        yield _owner(facts.owner, now)
    if facts.pods.life is not Life.UNOBSERVED:
        yield _pods(facts.pods, now)
    if claimed:
        yield _grace(facts, policy, now)
    if facts.lease_until is not None:
        yield _timed("lease", facts.lease_until, now, lambda: "a lease")
    if facts.pin is not None:
        yield _pin(facts.pin, now)


def _time_to_live(facts: Facts, policy: Policy, now: datetime) -> Reason:
    time_to_live = policy.time_to_live_of(facts.time_to_live)

    def what() -> str:
        asked = facts.time_to_live is not None
        length = duration_text(time_to_live) if asked else policy.words_of("time_to_live")
        return f"the time to live of {length} since the last activity at {clock_text(facts.last_activity_at)}"

    return _timed("time-to-live", facts.last_activity_at + time_to_live, now, what)


def _owner(owner: Owner, now: datetime) -> Reason:
    name = str(owner.reference)
    match owner.life:
        case Life.UNOBSERVED:
            return _no("owner", f"{name} is the owner, but no Kubernetes is connected that knows of its life")
        case Life.UNKNOWN:
            return _unknown("owner", owner, now, f"it is not known whether {name} lives")
        case Life.EXPECTED:
            # Its time to live keeps such a bundle; an owner that never comes must not keep it for ever.
            return _no("owner", f"{name} has not appeared yet")
        case Life.ALIVE:
            return Reason("owner", True, None, None, lambda: f"{name} lives")
        case Life.MISSING:
            return _missing("owner", owner, now, name)
        case Life.ENDED:
            return _no("owner", f"{name} has ended{_at(owner.ended_at)}")


def _pods(pods: Pods, now: datetime) -> Reason:
    match pods.life:
        case Life.UNKNOWN:
            return _unknown("pod", pods, now, "it is not known whether a pod uses it")
        case Life.ALIVE:
            return Reason("pod", True, None, None, lambda: f"in use by pod {_pod_names(pods)}")
        case Life.MISSING:
            return _missing("pod", pods, now, "its last pod")
        case Life.ENDED:
            return _no("pod", f"its last pod has ended{_at(pods.ended_at)}")
        case _:
            return _no("pod", "no pod with its label was seen")


def _no(kind: str, said: str) -> Reason:
    return Reason(kind, False, None, None, lambda: said)


def _unknown(kind: str, seen: Observed, now: datetime, what: str) -> Reason:
    claims = seen.last_seen is not None and seen.ended_at is None
    look_at = None if claims else now + ASK_AGAIN

    def said() -> str:
        last = "" if seen.last_seen is None else f" (it was there at {clock_text(seen.last_seen)})"
        return f"{what}{last}, and unknown keeps"

    return Reason(kind, True, None, look_at, said)


def _missing(kind: str, seen: Observed, now: datetime, name: str) -> Reason:
    since = seen.absent_since or now
    after = since + CONFIRM_AFTER

    def said() -> str:
        absent = f"{name} is absent since {clock_text(since)}"
        return f"{absent}, and its absence must be confirmed by a list after {clock_text(after)}"

    return Reason(kind, True, None, max(after, now + _SOON), said, after)


def confirmation(facts: Facts, reasons: Sequence[Reason], now: datetime) -> Iterator[Reason]:
    """Yield the claim that is left when all `reasons` are over, unless a list that is new enough agrees."""
    after = max(reason.until for reason in reasons if reason.until is not None) + CONFIRM_AFTER
    if any(seen.listed_at is not None and seen.listed_at < after for seen in facts.observed):
        yield Reason(
            "confirmation", True, None, max(after, now + _SOON),
            lambda: f"that nothing uses it must be confirmed by a list after {clock_text(after)}", after,
        )  # fmt: skip


def _grace(facts: Facts, policy: Policy, now: datetime) -> Reason:
    ends = [seen.ended_at for seen in facts.observed if seen.ended_at is not None]
    if not ends:
        return _no("grace", "the grace begins when its owner and pods have ended")

    def what() -> str:
        return f"the grace of {policy.words_of('grace')} after the last owner or pod ended at {clock_text(max(ends))}"

    return _timed("grace", max(ends) + policy.grace, now, what)


def _pin(pin: Pin, now: datetime) -> Reason:
    if pin.until is None:
        return Reason("pin", True, None, None, lambda: f"pinned without end: {pin.reason}")
    return _timed("pin", pin.until, now, lambda: f"the pin ({pin.reason})")


def _timed(kind: str, until: datetime, now: datetime, what: Callable[[], str]) -> Reason:
    holds = now < until
    return Reason(kind, holds, until, until, lambda: f"{what()} {'ends' if holds else 'ended'} at {clock_text(until)}")


def _pod_names(pods: Pods) -> str:
    named = ", ".join(pods.names[:_NAMES])
    more = max(pods.count, len(pods.names)) - len(pods.names[:_NAMES])
    return f"{named} and {more} more" if more else named


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f" at {clock_text(moment)}"
