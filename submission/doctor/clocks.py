"""How far two clocks are apart, by the `Date` of an answer (RFC 9110, section 6.6.1)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from submission.doctor.findings import Finding, fail, ok, unknown, warn

_NOTICED: Final = 30.0
"""Seconds; less is the time of an answer, and a `Date` of whole seconds."""

_MOST: Final = 300.0
"""Seconds; from here tokens that are valid count as not yet made, or as expired (Kerberos' limit, too)."""


def judged(date: str | None, *, now: datetime, words: str) -> Finding:
    """Return what the `Date` of an answer that came at `now` says about the clock of `words` and ours."""
    if date is None:
        return unknown(f"{words} does not say what time it is", fix="compare by hand: date -u")
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return unknown(f"{words} says a time that is none: {date}", fix="compare by hand: date -u")
    ahead = (now - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))).total_seconds()
    if abs(ahead) < _NOTICED:
        return ok(f"{abs(ahead):.0f} s apart")
    found = f"this machine is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {words}"
    return fail(found) if abs(ahead) >= _MOST else warn(found)
