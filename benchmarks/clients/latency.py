"""Small requests at fixed times, whatever the answers do: an open loop, so that a server that stalls is not spared.

The latency of a request counts from the time at which it was due.  It takes an idle connection, or a new one when all
are waiting for answers.
"""

import asyncio
import gc
import itertools
import json
import secrets
import selectors
import sys
from time import perf_counter
from typing import Any

_CONNECTIONS = 500
"""More at once than a server that works needs: then requests wait here, and that counts."""


class Connection(asyncio.Protocol):
    """One request at a time; `answered` is resolved with the status."""

    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None
        self._answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        """Whether another request can go over it."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - tells mypy what TCP transports are
        self._transport = transport

    async def ask(self, request: bytes) -> int:
        """Send a request and return the status of its whole answer, 0 when the connection broke."""
        self._answered, self._data = asyncio.get_running_loop().create_future(), b""
        assert self._transport is not None  # noqa: S101 - connected before it is used
        self._transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        """Read on until the answer is whole."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) >= _content_length(head) and not self._answered.done():
            self._answered.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer who waits."""
        if not self._answered.done():
            self._answered.set_result(0)
        del exc


class OpenLoop:
    """All requests of one run."""

    def __init__(self, *, host: str, port: int) -> None:
        self._address = (host, port)
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._run, self._numbers = secrets.token_hex(8), itertools.count()
        self.latencies: dict[str, list[float]] = {}
        self.errors = 0

    async def request(self, name: str, text: str, *, due: float) -> None:
        """Send one request that is due now."""
        data = text.replace("{key}", f"{self._run}-{next(self._numbers)}").encode()
        async with self._places:
            connection = await self._connection()
            try:
                status = 0 if connection is None else await connection.ask(data)
            finally:
                if connection is not None and connection.is_open:
                    self._idle.append(connection)
        self.latencies.setdefault(name, []).append((perf_counter() - due) * 1000)
        self.errors += not 200 <= status < 300

    async def _connection(self) -> Connection | None:
        while self._idle:
            if (kept := self._idle.pop()).is_open:
                return kept
        try:
            _, made = await asyncio.get_running_loop().create_connection(Connection, *self._address)
        except OSError:
            return None
        return made


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"content-length:")
    return int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Send the requests of each kind at its rate for some seconds."""
    loop, running = OpenLoop(host=task["host"], port=task["port"]), set[asyncio.Task[None]]()
    kinds = task["kinds"]
    # Kinds are due one after the other, not together: they shall not wait for one another.
    schedule = sorted(
        ((number + place / len(kinds)) / task["rate"], kind)
        for place, kind in enumerate(kinds)
        for number in range(int(task["seconds"] * task["rate"]))
    )
    begin = perf_counter()
    for offset, name in schedule:
        due = begin + offset
        if (left := due - perf_counter()) > 0:
            await asyncio.sleep(left)
        running.add(asyncio.create_task(loop.request(name, kinds[name], due=due)))
    await asyncio.gather(*running)
    return {"latencies": loop.latencies, "errors": loop.errors, "seconds": perf_counter() - begin}


def main() -> None:
    """Read the task `{host, port, rate, seconds, kinds}` and print `{latencies, errors, seconds}`."""
    task = json.load(sys.stdin)
    gc.disable()
    # epoll rounds waits up to milliseconds, select does not.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        json.dump(runner.run(run(task)), sys.stdout)


if __name__ == "__main__":
    main()
