"""Places for uploads: a bounded number at once, and a fair queue before them.

An upload holds a buffer and a thread while it runs, so only so many run at once.  Others wait before a byte of them is
asked for: a waiting one is a future and an idle connection.  Free places go round among the namespaces that wait, so a
namespace with one upload has at most one upload of each other namespace before it, however many they have waiting.

`Turns` decides, and knows nothing of time or tasks; `Places` lets tasks wait.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Final, Generic, Protocol, TypeVar

from staging_protocol.errors import TooManyRequests, Unavailable
from staging_server.settings import LimitSettings
from staging_server.tenants import Tenant

Owner = TypeVar("Owner", bound=Hashable)
Ticket = TypeVar("Ticket", bound=Hashable)

_RETRY_AFTER: Final = 5
"""Seconds that a client should wait before it asks again; uploads are long, so sooner makes no sense."""


class Presence(Protocol):
    """A client that may go away while it waits."""

    def watch(self, gone: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `gone`, on the event loop, when the client goes away within the context."""
        ...


class Turns(Generic[Owner, Ticket]):
    """Who holds places, who waits, and whose turn it is.

    No place is free while somebody waits who may have one.
    """

    def __init__(self, *, places: int, of_one: int, waiting: int) -> None:
        """At most `places` are held at once, `of_one` by one owner; at most `waiting` tickets wait, half of one."""
        self._places = places
        self._of_one = of_one
        self._most = waiting
        self._held: Counter[Owner] = Counter()
        self._queues: OrderedDict[Owner, OrderedDict[Ticket, None]] = OrderedDict()

    @property
    def held(self) -> int:
        """How many places are held."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        """How many tickets wait."""
        return sum(map(len, self._queues.values()))

    def take(self, owner: Owner) -> bool:
        """Take a place for `owner`; False when it has to wait."""
        if not self._may_have(owner):
            return False
        self._held[owner] += 1
        return True

    def queue(self, owner: Owner, ticket: Ticket) -> bool:
        """Put `ticket` at the end of the queue of `owner`; False when too many wait."""
        of_owner = len(self._queues.get(owner, ()))
        if self.waiting >= self._most or of_owner >= max(1, self._most // 2):
            return False
        self._queues.setdefault(owner, OrderedDict())[ticket] = None
        return True

    def give_up(self, owner: Owner, ticket: Ticket) -> None:
        """Forget a ticket; harmless when it does not wait any more."""
        queue = self._queues.get(owner, OrderedDict())
        queue.pop(ticket, None)
        if not queue:
            self._queues.pop(owner, None)

    def release(self, owner: Owner) -> tuple[Owner, Ticket] | None:
        """Give a place of `owner` back; return who has it now, if anybody waited."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        following = next(filter(self._may_have, self._queues), None)
        if following is None:
            return None
        ticket = next(iter(self._queues[following]))
        self._queues.move_to_end(following)
        self.give_up(following, ticket)
        self._held[following] += 1
        return following, ticket

    def _may_have(self, owner: Owner) -> bool:
        return self.held < self._places and self._held[owner] < self._of_one


class Places:
    """The places of this process."""

    def __init__(self, limits: LimitSettings) -> None:
        self._turns: Turns[Tenant, asyncio.Future[None]] = Turns(
            places=limits.uploads_in_flight, of_one=limits.uploads_per_namespace, waiting=limits.uploads_waiting
        )
        self._patience = limits.upload_wait
        self._tickets: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def held(self) -> int:
        """Uploads that have a place."""
        return self._turns.held

    @property
    def waiting(self) -> int:
        """Uploads that wait for one."""
        return self._turns.waiting

    @asynccontextmanager
    async def place(self, tenant: Tenant, presence: Presence) -> AsyncIterator[bool]:
        """Hold a place; yields whether it had to be waited for.

        Raises:
            TooManyRequests: too many wait, or none became free in time.
            Unavailable: the server is on its way out.
            ConnectionResetError: the client went away.
        """
        at_once = self._turns.take(tenant)
        if not at_once:
            await self._wait(tenant, presence)
        try:
            yield not at_once
        finally:
            self._pass_on(tenant)

    def close(self) -> None:
        """Send everybody away who waits, now and from now on."""
        self._closed = True
        for ticket in self._tickets:
            _refuse(ticket, _leaving())

    async def _wait(self, tenant: Tenant, presence: Presence) -> None:
        if self._closed:
            raise _leaving()
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._turns.queue(tenant, ticket):
            msg = "all places for uploads are taken, and too many uploads wait for one; try again"
            raise TooManyRequests(msg, retry_after=_RETRY_AFTER)
        self._tickets.add(ticket)
        try:
            with presence.watch(lambda: _refuse(ticket, ConnectionResetError("the client went away"))):
                async with asyncio.timeout(self._patience):
                    await ticket
        except BaseException as error:
            self._return(tenant, ticket)
            if isinstance(error, TimeoutError):
                msg = f"no place for this upload became free within {self._patience:g} s; try again"
                raise TooManyRequests(msg, retry_after=_RETRY_AFTER) from error
            raise
        finally:
            self._tickets.discard(ticket)

    def _return(self, tenant: Tenant, ticket: asyncio.Future[None]) -> None:
        """Leave the queue; whoever got a place at the moment of leaving passes it on."""
        if ticket.done() and not ticket.cancelled() and ticket.exception() is None:
            self._pass_on(tenant)
        else:
            self._turns.give_up(tenant, ticket)

    def _pass_on(self, tenant: Tenant) -> None:
        following = self._turns.release(tenant)
        while following is not None:
            tenant, ticket = following
            if not ticket.done():
                ticket.set_result(None)
                return
            # It was sent away, or its client left, at this very moment.
            following = self._turns.release(tenant)


def _refuse(ticket: asyncio.Future[None], error: Exception) -> None:
    if not ticket.done():
        ticket.set_exception(error)


def _leaving() -> Unavailable:
    return Unavailable("the server is shutting down", retry_after=_RETRY_AFTER)
