"""A proxy on loopback that makes the faults which real servers will not make.

    with fault_proxy(server.url) as proxy:
        proxy.plan(Rule(fault=Reset(Place(way=Way.UP, at=1000)), method="PATCH"))
        …                                # a client of proxy.url
        assert proxy.struck(Reset) == 1

`faults` has the faults and says where they strike; `fault_plans` draws plans.  The proxy knows HTTP/1.1 in clear text;
it forwards messages byte for byte but for its faults, keeps connections as both sides do, and notes what passed.
It runs on an event loop in a thread of its own; everything public may be used from any thread.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tests.services.fault_lane import Broken
from tests.services.fault_passing import Passing
from tests.services.fault_wire import End, Head
from tests.services.faults import Exchange, Fault, Refuse, Rule

_WAIT: Final = 20.0
"""Seconds that `wait_until` waits; what it waits for takes milliseconds on an idle machine."""


class FaultProxy:
    """A running proxy; `target` is the URL of the server, and may be changed while it runs."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self._rules: list[_Counted] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._thread.start()

    def plan(self, *rules: Rule) -> None:
        """Have these faults from now on, and forget all others, counts, and what passed."""
        with self._lock:
            self._rules = [_Counted(rule) for rule in rules]
            self.exchanges = []

    def struck(self, kind: type[Fault] | None = None) -> int:
        """Return how many faults (of a kind) happened."""
        return sum(kind is None or isinstance(fault, kind) for one in list(self.exchanges) for fault in one.struck)

    def bytes_up(self) -> int:
        """Return the bytes of request bodies that passed."""
        return sum(one.up for one in list(self.exchanges))

    def bytes_down(self) -> int:
        """Return the bytes of answers' bodies that passed."""
        return sum(one.down for one in list(self.exchanges))

    def wait_until(self, condition: Callable[["FaultProxy"], bool]) -> None:
        """Wait for something that the proxy notes; fail when it does not come."""
        deadline = time.monotonic() + _WAIT
        while not condition(self):
            assert time.monotonic() < deadline, f"it did not happen; what passed: {self.exchanges}"
            time.sleep(0.005)

    def drop_connections(self) -> None:
        """Reset every connection that stands, as a dying machine does not even do."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(_WAIT)

    def close(self) -> None:
        """End every stall, connection and thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_WAIT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- on the loop

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        number, self.connections = self.connections, self.connections + 1
        with suppress(asyncio.CancelledError):  # streams report a cancelled handler as an error
            await _Connection(self, End(reader, writer), number).serve()

    async def _drop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close at the next turn of the loop

    async def _end(self) -> None:
        self._closing.set()
        self._server.close()
        await asyncio.sleep(0)  # what was accepted just now begins, and is dropped with the others
        await self._drop()
        await self._server.wait_closed()
        await self._loop.shutdown_asyncgens()

    def begin(self, connection: int, head: Head) -> "tuple[Exchange, list[Fault]]":
        """Note a request, and say which faults strike it."""
        method, path, _ = head.start
        exchange = Exchange(connection=connection, method=method, path=path)
        with self._lock:
            self.exchanges.append(exchange)
            return exchange, [one.rule.fault for one in self._rules if one.takes(method, path)]

    async def connect(self) -> End:
        """Connect to the server."""
        parts = urlsplit(self.target)
        return await End.connect(parts.hostname or "", parts.port or 80)

    @property
    def closing(self) -> asyncio.Event:
        """Set when the proxy ends."""
        return self._closing


@dataclass
class _Counted:
    rule: Rule
    seen: int = 0

    def takes(self, method: str, path: str) -> bool:
        if not self.rule.matches(method, path):
            return False
        self.seen += 1
        return self.rule.skip < self.seen <= self.rule.skip + self.rule.times


class _Connection:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, near: End, number: int) -> None:
        self._proxy = proxy
        self._near = near
        self._far: End | None = None
        self._number = number

    async def serve(self) -> None:
        """Pass exchanges until one side ends, or a fault does."""
        resets = True
        try:
            while (head := await self._near.head()) is not None:
                if not await self._exchange(head):
                    break
            resets = False
        except (Broken, OSError, EOFError):
            pass  # the reset of one side is passed on to the other
        finally:
            for end in filter(None, (self._near, self._far)):
                end.reset() if resets else end.close()

    async def _exchange(self, head: Head) -> bool:
        """Pass one request and its answer; return whether the connection is kept."""
        exchange, faults = self._proxy.begin(self._number, head)
        refusal = next((fault for fault in faults if isinstance(fault, Refuse)), None)
        if refusal is not None:
            exchange.struck.append(refusal)
            return await self._refuse(head, refusal, exchange)
        if self._far is None:
            self._far = await self._proxy.connect()
        passing = Passing(
            self._near, self._far, head=head, faults=faults, exchange=exchange,
            connect=self._proxy.connect, closing=self._proxy.closing,
        )  # fmt: skip
        return await passing.run()

    async def _refuse(self, head: Head, refusal: Refuse, exchange: Exchange) -> bool:
        if refusal.reads_body:
            async for _ in self._near.body(size=head.size or 0, chunked=head.chunked):
                pass
        keeps = refusal.reads_body or not head.has_request_body
        fields = [f"Content-Length: {len(refusal.body)}", f"Content-Type: {refusal.content_type}"]
        fields += [f"Retry-After: {refusal.retry_after}"] if refusal.retry_after is not None else []
        fields += [] if keeps else ["Connection: close"]
        text = f"HTTP/1.1 {refusal.status} Refused\r\n" + "".join(f"{line}\r\n" for line in fields) + "\r\n"
        exchange.status = refusal.status
        await self._near.send(text.encode() + (b"" if head.start[0] == "HEAD" else refusal.body))
        return keeps


@contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    """Run a proxy before the server at `target` until the block ends."""
    proxy = FaultProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
