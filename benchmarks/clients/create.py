"""Requests that differ in their Idempotency-Key only, a fixed number in flight over kept connections.

Answers are read no further than needed: status, Content-Length, and that many bytes.
"""

import asyncio
import itertools
import json
import secrets
import sys
from functools import partial
from time import perf_counter


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, *, head: bytes, body: bytes, numbers: "itertools.count[int]", requests: int, run: str) -> None:
        self._head, self._body, self._numbers, self._requests, self._run = head, body, numbers, requests, run
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.created, self.failed = 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first bundle."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - tells mypy what TCP transports are
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Read on until the answer is whole."""
        self._data += data
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end or len(rest) < (size := _content_length(head)):
            return
        self._data = rest[size:]
        created = head.startswith(b"HTTP/1.1 201")
        self.created, self.failed = self.created + created, self.failed + (not created)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that the server ended early has failed once more."""
        if not self.done.done():
            self.failed += 1
            self.done.set_result(None)
        del exc

    def _next(self) -> None:
        number = next(self._numbers)
        if self._transport is None or number >= self._requests:
            self._end()
            return
        key = f"Idempotency-Key: {self._run}-{number}\r\n\r\n".encode()
        self._transport.write(self._head + key + self._body)

    def _end(self) -> None:
        self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"content-length:")
    return int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


def _same(connection: Connection) -> Connection:
    return connection


async def run(task: dict[str, str | int]) -> dict[str, float]:
    """Send `requests` requests over `connections` connections."""
    numbers, loop = itertools.count(), asyncio.get_running_loop()
    made = [
        Connection(
            head=str(task["head"]).encode(), body=str(task["body"]).encode(), numbers=numbers,
            requests=int(task["requests"]), run=secrets.token_hex(8),
        )
        for _ in range(int(task["connections"]))
    ]  # fmt: skip
    begin = perf_counter()
    for connection in made:
        await loop.create_connection(partial(_same, connection), str(task["host"]), int(task["port"]))
    await asyncio.gather(*(connection.done for connection in made))
    seconds = perf_counter() - begin
    return {
        "seconds": seconds,
        "created": sum(connection.created for connection in made),
        "errors": sum(connection.failed for connection in made),
    }


def main() -> None:
    """Read the task `{host, port, head, body, connections, requests}` and print `{seconds, created, errors}`."""
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
