"""What was seen of a bundle's owner, or of its pods, over time.  Pure: a history and a sight in, a history out.

A sight is of one moment and may be wrong once: a list may be stale, a watch may have missed the end of something that
came back.  So an absence counts in two steps, at least `CONFIRM_AFTER` apart:

    seen ──▶ absent since T ──▶ ended at T          with a list that was begun a minute after T or later
      ▲            │                │
      └────────────┴────────────────┴── seen again: as if nothing had happened

What Kubernetes shows as finished for good needs no second look: that is an answer, and not the lack of one.
An owner that was named without its uid is known by the uid of what had its name first.  What a watch that is behind
shows may be the object that had the name before; so a uid is forgotten again when its object is gone before it was seen
for ten minutes, and whoever has the name then is the owner.
What it did not clearly answer teaches nothing, and leaves the history as it is.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from staging_server.retention.sights import Seen, Sight

CONFIRM_AFTER: Final = timedelta(seconds=60)
"""Time between a first absence and the beginning of the list that confirms it: an API server whose cache is behind by
more than this is not fit for work anyway."""

_SURE_AFTER: Final = timedelta(minutes=10)
"""Time for which an object has to be seen until its uid surely is that of the owner: more than a watch and its next
list are ever behind."""

_SEEN_AGAIN: Final = timedelta(hours=1)
"""`last_seen` is for people; written at most this often, so that looking at what lives costs no writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was seen so far.

    Attributes:
        uid: of an owner, learned when it was first seen.
        first_seen: when it was first there, and its uid learned.
        last_seen: when it was last there, to the hour.
        absent_since: when it was first missed, after it had been there.
        ended_at: when it finished for good, or was first missed if that is confirmed.
    """

    uid: str | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    absent_since: datetime | None = None
    ended_at: datetime | None = None

    @property
    def claims(self) -> bool:
        """Whether it was seen, and has not ended: then only an event can change it."""
        return self.first_seen is not None and self.ended_at is None

    @property
    def is_sure(self) -> bool:
        """Whether it was seen for so long that its uid is not that of an object that was gone when it was named."""
        if self.first_seen is None or self.last_seen is None:
            return False
        return self.last_seen - self.first_seen >= _SURE_AFTER

    @property
    def sure_at(self) -> datetime | None:
        """When being seen makes it sure; None when it is, or when nothing was seen."""
        return None if self.first_seen is None or self.is_sure else self.first_seen + _SURE_AFTER

    @property
    def is_in_doubt(self) -> bool:
        """Whether what was seen of an owner may have been another object: it is gone, and its uid was forgotten."""
        return self.first_seen is not None and self.uid is None


NOTHING: Final = History()
"""Of what was never seen."""


def learn(history: History, sight: Sight, now: datetime, *, made_at: datetime | None = None) -> History:
    """Return the history after a sight at `now`; the same object when it teaches nothing.

    `made_at` is when the bundle was made, for an owner that was named without its uid: an object of that name that
    finished before is that of an earlier run.
    """
    match sight.seen:
        case Seen.UNOBSERVED | Seen.UNKNOWN:
            return history
        case Seen.ALIVE:
            return _there(history, sight, now)
        case Seen.FINISHED if _is_of_before(history, sight, made_at):
            return history
        case Seen.FINISHED:
            after = _finished(history, sight, now)
        case Seen.ABSENT:
            after = _absent(history, sight, now)
    is_over = after is not history and made_at is not None
    return replace(after, uid=None) if is_over and not history.is_sure else after


def _there(history: History, sight: Sight, now: datetime) -> History:
    returned = history.absent_since is not None or history.ended_at is not None
    if not returned and history.last_seen is not None and now - history.last_seen < _SEEN_AGAIN:
        makes_sure = not history.is_sure and replace(history, last_seen=now).is_sure
        if not makes_sure:
            return history
    is_learned = history.uid is None and sight.uid is not None
    first_seen = now if is_learned or history.first_seen is None else history.first_seen
    return History(uid=history.uid or sight.uid, first_seen=first_seen, last_seen=now)


def _is_of_before(history: History, sight: Sight, made_at: datetime | None) -> bool:
    unknown = history.first_seen is None and made_at is not None
    return unknown and made_at is not None and sight.since is not None and sight.since < made_at


def _finished(history: History, sight: Sight, now: datetime) -> History:
    # A node's clock may be ahead of ours, and a status may not say when: then it is when we saw it first.
    ended = history.ended_at or now if sight.since is None else min(sight.since, now)
    if history.ended_at is not None and ended <= history.ended_at:
        return history
    return History(uid=history.uid or sight.uid, first_seen=history.first_seen or now, last_seen=now, ended_at=ended)


def _absent(history: History, sight: Sight, now: datetime) -> History:
    if not history.claims:
        return history
    if history.absent_since is None:
        return replace(history, absent_since=now)
    if sight.listed_at is not None and sight.listed_at >= history.absent_since + CONFIRM_AFTER:
        return replace(history, ended_at=history.absent_since)
    return history
