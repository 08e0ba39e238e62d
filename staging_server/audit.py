"""The audit table: who did what, when, from where, and with what result.  Rows are added and, after 90 days, swept.

State changes are written in the transaction that makes them, so that none is without its row.  Refusals are written on
their own and are rate-limited: whoever guesses tokens must not be able to fill the disk.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, insert

from staging_server.metadata.base import Metadata
from staging_server.metadata.numbers import next_number
from staging_server.metadata.tables import audit
from staging_server.tenants import Caller
from staging_server.times import Clock, micros, utc_now

SWEEPER: Final = Caller(name="sweeper")
"""Who acts when time does."""

_REFUSALS: Final = 20
"""Rows for the refusals of one address in one minute; the last one says that more are not written."""

_ADDRESSES: Final = 1000
"""Addresses that are counted in one minute; with more, none is written before the next minute."""

_INSERT: Final = insert(audit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row.  `subject` is a bundle or a digest; `result` is `done` or the code of an error."""

    at: datetime
    action: str
    caller: Caller
    namespace: str | None = None
    subject: str | None = None
    result: str = "done"
    detail: str | None = None


def append(connection: Connection, entries: Sequence[Entry]) -> list[None]:
    """Add rows, inside the transaction of what they tell; also an operation for rows that stand alone."""
    if entries:
        connection.execute(_INSERT, [_row(entry) for entry in entries])
    return [None] * len(entries)


class Audit:
    """Writes what is refused."""

    def __init__(self, *, metadata: Metadata, clock: Clock = utc_now) -> None:
        self._metadata = metadata
        self._clock = clock
        self._minute = datetime.min.replace(tzinfo=UTC)
        self._refusals: Counter[str] = Counter()

    async def refused(
        self, action: str, *, caller: Caller, code: str, namespace: str | None = None, subject: str | None = None
    ) -> None:
        """Write that `caller` was refused with the error `code`, unless its address has had its share."""
        now = self._clock()
        count = self._count(caller.address, now)
        if count > _REFUSALS:
            return
        detail = "further refusals of this minute are not written" if count == _REFUSALS else None
        entry = Entry(
            at=now, action=action, caller=caller, namespace=namespace, subject=subject, result=code, detail=detail
        )
        await self._metadata.write(append, entry)

    def _count(self, address: str, now: datetime) -> int:
        if now - self._minute >= timedelta(minutes=1):
            self._minute = now
            self._refusals.clear()
        if address not in self._refusals and len(self._refusals) >= _ADDRESSES:
            return _REFUSALS + 1
        self._refusals[address] += 1
        return self._refusals[address]


def _row(entry: Entry) -> dict[str, object]:
    at = micros(entry.at)
    return {
        "number": next_number(at),
        "at": at,
        "action": entry.action,
        # Bounded here: what comes from a request must never make a change fail.
        "caller": entry.caller.name[:253],
        "address": entry.caller.address[:64],
        "request_id": entry.caller.request_id[:128],
        "namespace": None if entry.namespace is None else entry.namespace[:253],
        "subject": None if entry.subject is None else entry.subject[:80],
        "result": entry.result,
        "detail": entry.detail,
    }
