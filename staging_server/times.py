"""Times: aware and UTC in the program, whole microseconds since 1970 in the database.

Integers sort, compare and add alike in SQLite and PostgreSQL, and cost nothing to read.
In SQL, `datetime(created_at / 1000000, 'unixepoch')` (SQLite) or `to_timestamp(created_at / 1e6)` shows one.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from staging_protocol.counted import counted

Clock = Callable[[], datetime]
"""Returns the present time, aware and in UTC; tests bring one that they can move."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(tz=UTC)


def micros(moment: datetime) -> int:
    """Return `moment` as the database keeps it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(stored: int) -> datetime:
    """Return what `micros` stored."""
    return _EPOCH + timedelta(microseconds=stored)


def maybe_micros(moment: datetime | None) -> int | None:
    """Return `micros(moment)`, or None for None."""
    return None if moment is None else micros(moment)


def maybe_moment(stored: int | None) -> datetime | None:
    """Return `moment_of(stored)`, or None for None."""
    return None if stored is None else moment_of(stored)


def clock_text(moment: datetime) -> str:
    """Return a time as people read it."""
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def duration_text(duration: timedelta) -> str:
    """Return a duration as people say it."""
    seconds = int(duration.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return counted(seconds // size, unit)
    return counted(seconds, "second")
