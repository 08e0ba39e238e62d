"""Decides whether a bundle lives.  Pure: facts in, decision out; `sweeper` acts, `explain` says it in words.

A bundle lives while any claim holds (DESIGN 8):

    age             it is younger than the minimum age
    time-to-live    nothing has claimed it yet, and its last activity is recent
    pod             a pod that runs, or may run again, carries its label
    owner           the object that it is bound to is there, or was and its end is not confirmed
    grace           its owner or last pod ended a short while ago
    lease           the submitter of a client-mode driver renewed it
    pin             somebody holds it, with a reason
    confirmation    all of these are over, but no list of Kubernetes that is new enough has said so yet

What Kubernetes did not clearly answer is *unknown*, and unknown keeps.  Where no Kubernetes is connected nothing was
asked, so owners and pods claim nothing and the time to live decides (docs/decisions/0002-owners-without-kubernetes.md).

Before a bundle ends, a list that was begun a minute after its last claim must agree.  So no single stale list ends a
bundle with a pod that nobody had noticed (docs/decisions/0034-absence-in-two-steps.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from staging_protocol.api.claims import Claim
from staging_server.retention.claims import KINDS, Reason, confirmation, reasons_of
from staging_server.retention.facts import Facts, Life
from staging_server.retention.policies import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the bundle stays.

    Attributes:
        until: when that has to be decided again; None while only an event can change it.
        look_at: when the sweep has to look at it; None as for `until`.
        list_after: it waits for a list of Kubernetes that is begun then or later; None when it waits for none.
    """

    keep: bool
    until: datetime | None
    look_at: datetime | None
    list_after: datetime | None
    _reasons: tuple[Reason, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims that were looked at, in words, the ones that hold first."""
        first = sorted(self._reasons, key=lambda reason: not reason.holds)
        return tuple(
            Claim(kind=reason.kind, holds=reason.holds, detail=reason.words(), until=reason.until) for reason in first
        )

    @property
    def mask(self) -> int:
        """The claims that hold, a bit for each of `KINDS`."""
        return sum({1 << KINDS.index(reason.kind) for reason in self._reasons if reason.holds})

    @property
    def reason(self) -> str:
        """Why it stays, or why nothing keeps it."""
        said = [claim for claim in self.claims if claim.holds == self.keep]
        # That it is old enough to end explains no end.
        return "; ".join(claim.detail for claim in said if self.keep or claim.kind != "age")


def decide(facts: Facts, policy: Policy, now: datetime) -> Decision:
    """Return whether the bundle of `facts` lives at `now`."""
    reasons = tuple(reasons_of(facts, policy, now))
    if not any(reason.holds for reason in reasons):
        reasons += tuple(confirmation(facts, reasons, now))
    holding = [reason for reason in reasons if reason.holds]
    return Decision(
        keep=bool(holding),
        until=_latest([reason.until for reason in holding]),
        look_at=_earliest(_latest([reason.look_at for reason in holding]), _sure_at(facts)) if holding else now,
        list_after=_latest([reason.list_after for reason in holding]),
        _reasons=reasons,
    )


def _latest(moments: Sequence[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return max(known) if known and len(known) == len(moments) else None


def _sure_at(facts: Facts) -> datetime | None:
    """Return when an owner that lives has to be seen again, whatever else keeps the bundle."""
    return facts.owner.sure_at if facts.owner is not None and facts.owner.life is Life.ALIVE else None


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
