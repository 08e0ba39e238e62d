"""The database as a reader sees it: read here, written by the parent.

    reader: `ReaderMetadata.write(operation, item)`  →  Write  →  parent: `run_for_reader`  →  Written  →  reader

There are three things that reads are worth writing: that a token was used, who read how much, and refusals.  How much
was read goes into the parent's own counts (`Activity`), so that there is still one row for each bundle, caller and
minute, whichever processes answered.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from staging_protocol.errors import ERRORS, InternalError, StagingError, Unavailable
from staging_server.audit import Entry, append
from staging_server.metadata.base import Argument, Item, Metadata, Operation, Query, Result, one_by_one
from staging_server.metadata.changes import Activity as Used
from staging_server.metadata.changes import note_activity, note_token_used
from staging_server.metadata.threaded import ThreadedDatabase
from staging_server.parts import ServerParts
from staging_server.workers.messages import Write, Written

_COME_BACK: Final = 1.0
"""Seconds until another parent has taken over, if this one ends."""

_ITEMS: Final[dict[str, Any]] = {
    note_activity.__name__: Used,
    note_token_used.__name__: tuple[int, str],
    append.__name__: Entry,
}
_OPERATIONS: Final[dict[str, Operation[Any, Any]]] = {
    note_token_used.__name__: one_by_one(note_token_used),
    append.__name__: append,
}


class ReaderMetadata:
    """`Metadata` of a reader."""

    def __init__(self, database: ThreadedDatabase, *, send: Callable[[Write], None]) -> None:
        self._database = database
        self._send = send
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._number = 0

    async def read(self, query: Query[Argument, Result], argument: Argument) -> Result:
        """See `Metadata.read`."""
        return await self._database.read(query, argument)

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """See `Metadata.write`; raises InternalError for an operation that is none of a reader's."""
        name = getattr(operation, "__name__", "")
        if name not in _ITEMS:
            msg = f"a reader cannot write {name}"
            raise InternalError(msg)
        self._number += 1
        number = self._number
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send(Write(number, name, msgspec.json.encode(item, enc_hook=str)))
        try:
            await answer
        finally:
            self._asked.pop(number, None)
        return None  # type: ignore[return-value] # none of the three has a result

    def answered(self, written: Written) -> None:
        """Take the parent's answer."""
        answer = self._asked.get(written.number)
        if answer is None or answer.done():
            return
        if written.code is None:
            answer.set_result(None)
        else:
            answer.set_exception(ERRORS[written.code](written.detail, retry_after=written.retry_after))

    async def close(self) -> None:
        """See `Metadata.close`."""
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Unavailable("the server is shutting down", retry_after=_COME_BACK))
        await self._database.close()


async def run_for_reader(write: Write, parts: ServerParts) -> Written:
    """Do in the parent what a reader asked for."""
    try:
        item = msgspec.json.decode(write.item, type=_ITEMS[write.operation], dec_hook=_construct)
        if isinstance(item, Used):
            activity = parts.bundles.activity
            activity.merge(item)
            if activity.is_due(datetime.now(UTC)):
                await activity.flush()
        else:
            await parts.metadata.write(_OPERATIONS[write.operation], item)
    except StagingError as error:
        return Written(write.number, error.code, error.detail, error.retry_after)
    return Written(write.number)


def _construct(kind: type[Any], value: object) -> object:
    return kind(value)  # a `BundleId`, which is a string that checks itself


def _is_metadata(metadata: ReaderMetadata) -> Metadata:
    return metadata
