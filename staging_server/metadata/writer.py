"""The one writer of a process, with group commit.

A commit waits for the disk; the requests that arrive meanwhile go together into the next one.  Nothing waits on
purpose: an idle writer commits a lone request at once.

One request must not fail another.  So when a group raises, it is rolled back as a whole and each of its requests is
tried again in a transaction of its own, which finds out who is to blame.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from staging_protocol.errors import Unavailable
from staging_server.metadata.base import Contention, Operation
from staging_server.observer import Observer

GROUP: Final = 64
"""Most requests in one transaction: a commit is already shared by then, and a longer one delays everybody behind it."""

_ATTEMPTS: Final = 3
"""How often a lone request is tried when the database says that somebody else was in the way."""


class Transactions(Protocol):
    """Runs functions on the connection for writing, each in one durable transaction."""

    def __call__(self, work: Callable[[Connection], Sequence[Any]], /) -> Awaitable[Sequence[Any]]:
        """Raise `Contention`, `Unavailable` or what `work` raised; then nothing was changed."""
        ...


@dataclass(slots=True, eq=False)
class _Request:
    operation: Operation[Any, Any]
    item: Any
    answer: asyncio.Future[Any]


class Writer:
    """Takes requests from many tasks; `run` is the task that commits them."""

    def __init__(self, transact: Transactions, *, observer: Observer) -> None:
        self._transact = transact
        self._observer = observer
        self._waiting: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._closing = False

    async def write(self, operation: Operation[Any, Any], item: Any) -> Any:
        """Return what `operation` returned for `item`, once that is durable."""
        if self._closing:
            raise Unavailable("the server is shutting down", retry_after=5)
        request = _Request(operation, item, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._wake.set()
        return await request.answer

    async def run(self) -> None:
        """Commit until `close`, and then what is still waiting."""
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            group = self._next_group()
            if group:
                await self._commit(group)

    def close(self) -> None:
        """Accept nothing more and let `run` come to its end."""
        self._closing = True
        self._wake.set()

    def _next_group(self) -> list[_Request]:
        group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        # Who went away while waiting wants no change any more.
        return [request for request in group if not request.answer.cancelled()]

    async def _commit(self, group: list[_Request]) -> None:
        started = time.monotonic()
        try:
            await self._together(group)
        except Exception as error:  # noqa: BLE001 - the outermost loop: whatever went wrong belongs to its callers
            if len(group) > 1:
                for request in group:
                    await self._commit([request])
            else:
                _refuse(group[0], error)
        else:
            self._observer.group_committed(requests=len(group), seconds=time.monotonic() - started)

    async def _together(self, group: list[_Request]) -> None:
        by_operation: dict[Operation[Any, Any], list[_Request]] = {}
        for request in group:
            by_operation.setdefault(request.operation, []).append(request)

        def work(connection: Connection) -> Sequence[Any]:
            return [
                operation(connection, [request.item for request in requests])
                for operation, requests in by_operation.items()
            ]

        answers = await self._attempt(work, attempts=_ATTEMPTS if len(group) == 1 else 1)
        for requests, results in zip(by_operation.values(), answers, strict=True):
            for request, result in zip(requests, results, strict=True):
                if not request.answer.done():
                    request.answer.set_result(result)

    async def _attempt(self, work: Callable[[Connection], Sequence[Any]], *, attempts: int) -> Sequence[Any]:
        for _ in range(attempts - 1):
            try:
                return await self._transact(work)
            except Contention:
                continue
        return await self._transact(work)


def _refuse(request: _Request, error: Exception) -> None:
    if request.answer.done():
        return
    if isinstance(error, Contention):
        unavailable = Unavailable("the database is busy with other changes; try again", retry_after=1)
        unavailable.__cause__ = error
        request.answer.set_exception(unavailable)
    else:
        request.answer.set_exception(error)
