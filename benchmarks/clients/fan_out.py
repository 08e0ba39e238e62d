"""Many clients at once that GET URLs and throw the bytes away, in one process over epoll.

All connections are opened at once.  Each sends the next of the requests, and the one after it on the same connection
when that was answered, until there are none.  The kernel discards the bodies (recv with MSG_TRUNC, tcp(7)), so that
the generator costs a machine with few cores as little as possible and the server is what is measured.
A request that gets another status than 200, or fewer bytes than promised, is an error.
"""

import itertools
import json
import resource
import select
import socket
import sys
from dataclasses import dataclass
from time import perf_counter

_AT_ONCE = 4 * 1024 * 1024
"""Bytes discarded by one call at most."""
_HEAD = 64 * 1024
_STALLED = 60.0
"""Seconds without any event after which the clients that are left count as errors."""


@dataclass(slots=True)
class Client:
    """One connection; `left` is None until the head of the answer was read."""

    socket: socket.socket
    asked: bool = False
    head: bytes = b""
    left: int | None = None
    failed: bool = False


class FanOut:
    """All clients of one run."""

    def __init__(self, *, host: str, port: int, requests: list[bytes], clients: int, repeat: int) -> None:
        """Send each of `requests` `repeat` times, in their order."""
        self._address = (host, port)
        self._requests = itertools.chain.from_iterable(itertools.repeat(requests, repeat))
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._count = min(clients, len(requests) * repeat)
        self._waste = bytearray(_AT_ONCE)
        self.errors, self.bytes = 0, 0

    def run(self) -> float:
        """Serve all clients to their end and return the seconds."""
        begin = perf_counter()
        for _ in range(self._count):
            self._connect()
        while self._clients:
            events = self._epoll.poll(_STALLED)
            if not events:
                self.errors += len(self._clients)
                break
            for number, _ in events:
                self._advance(self._clients[number])
        return perf_counter() - begin

    def _connect(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self._address)
        self._clients[connection.fileno()] = Client(connection)
        self._epoll.register(connection, select.EPOLLOUT)

    def _advance(self, client: Client) -> None:
        try:
            if not client.asked:
                self._ask(client)
            elif client.left is None:
                self._read_head(client)
            else:
                self._discard(client)
        except BlockingIOError:
            return
        except OSError:
            client.failed = True
        if client.failed or client.left == 0:
            self._next(client)

    def _ask(self, client: Client) -> None:
        client.socket.sendall(next(self._requests))  # some 300 bytes: a new connection's buffer takes them
        client.asked = True
        self._epoll.modify(client.socket, select.EPOLLIN)

    def _next(self, client: Client) -> None:
        request = None if client.failed else next(self._requests, None)
        if request is None:
            self._end(client)
            return
        client.head, client.left = b"", None
        client.socket.sendall(request)

    def _read_head(self, client: Client) -> None:
        data = client.socket.recv(_HEAD)
        client.head += data
        head, end, body = client.head.partition(b"\r\n\r\n")
        if not data or len(client.head) > 2 * _HEAD:
            client.failed = True
        elif end:
            client.failed = head.split(b" ", 2)[1] != b"200"
            client.left = _content_length(head) - len(body)
            self.bytes += len(body)

    def _discard(self, client: Client) -> None:
        # The buffer only says how much may be discarded; with MSG_TRUNC nothing is written to it.
        count = client.socket.recv_into(self._waste, min(_AT_ONCE, client.left or 0), socket.MSG_TRUNC)
        client.failed = count == 0
        client.left = (client.left or 0) - count
        self.bytes += count

    def _end(self, client: Client) -> None:
        self.errors += client.failed
        del self._clients[client.socket.fileno()]
        client.socket.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def main() -> None:
    """Read the task `{host, port, requests, repeat, clients}` and print `{seconds, errors, bytes}`."""
    task = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    requests = [request.encode() for request in task["requests"]]
    load = FanOut(
        host=task["host"], port=task["port"], requests=requests, repeat=task["repeat"], clients=task["clients"]
    )
    seconds = load.run()
    json.dump({"seconds": seconds, "errors": load.errors, "bytes": load.bytes}, sys.stdout)


if __name__ == "__main__":
    main()
