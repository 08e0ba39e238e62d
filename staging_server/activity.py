"""Who used which bundle, counted in memory and written once per bundle, caller and minute.

1,000 executors that read 1 GiB in parts must not become 128,000 rows; and a bundle's life need not be known to the
second when it is measured in days.  What a crash loses is one minute.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from staging_protocol.errors import StagingError
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.changes import Activity as Row
from staging_server.metadata.changes import note_activity
from staging_server.metadata.rows import BundleAt
from staging_server.tenants import Caller

_log: Final = structlog.get_logger("activity")

EVERY: Final = timedelta(minutes=1)
_MOST: Final = 20_000
"""Entries in memory; beyond, reads count for the bundle's life but have no audit row of their own."""

_note = one_by_one(note_activity)


@dataclass(slots=True)
class _Use:
    caller: Caller | None
    last: datetime
    reads: int = 0
    size: int = 0


class Activity:
    """The uses since the last `flush`."""

    def __init__(self, *, metadata: Metadata) -> None:
        self._metadata = metadata
        self._uses: dict[tuple[BundleAt, str, str], _Use] = {}
        self._oldest: datetime | None = None

    def note(self, at: BundleAt, *, now: datetime, caller: Caller | None, size: int) -> None:
        """Count one use; never waits."""
        self.merge(Row(at=at, last=now, caller=caller, reads=1, size=size))

    def merge(self, uses: Row) -> None:
        """Count what another process has counted; never waits."""
        caller = None if len(self._uses) >= _MOST else uses.caller
        # The request's id is not part of it: one row stands for many requests.
        key = (uses.at, caller.name, caller.address) if caller is not None else (uses.at, "", "")
        use = self._uses.setdefault(key, _Use(caller, uses.last))
        use.last = max(use.last, uses.last)
        use.reads += uses.reads
        use.size += uses.size
        self._oldest = self._oldest or uses.last

    def last_use(self, at: BundleAt) -> datetime | None:
        """Return when a bundle was last used, as far as nobody has written it yet."""
        return max((use.last for (used, _, _), use in self._uses.items() if used == at), default=None)

    def is_due(self, now: datetime) -> bool:
        """Tell whether the oldest use is a minute old."""
        return self._oldest is not None and now - self._oldest >= EVERY

    async def flush(self) -> None:
        """Write all uses, in as few transactions as the writer needs.

        Raises:
            Unavailable: the database does not answer; what was not written is kept for the next time.
        """
        uses, self._uses, self._oldest = self._uses, {}, None
        done = await asyncio.gather(*(self._write(at, use) for (at, _, _), use in uses.items()), return_exceptions=True)
        failed = [(key, use, error) for (key, use), error in zip(uses.items(), done, strict=True) if error is not None]
        for key, use, _ in failed:
            self._uses.setdefault(key, use)
            self._oldest = self._oldest or use.last
        if failed:
            raise failed[0][2]

    async def flush_if_possible(self) -> None:
        """Write all uses, or keep them: whoever reads must not suffer from a database that cannot write."""
        try:
            await self.flush()
        except StagingError as error:
            _log.warning("activity.not-written", code=error.code, detail=error.detail)

    async def _write(self, at: BundleAt, use: _Use) -> None:
        row = Row(at=at, last=use.last, caller=use.caller, reads=use.reads, size=use.size)
        await self._metadata.write(_note, row)
