"""Uploads of many files at once, a thread and a connection for each; the kernel sends the bodies (sendfile).

An upload is a list of requests, one after the other on its connection: a whole PUT is one, a resumable upload many.
The body of a request is a stretch of a file and some bytes behind it.  Where `follow` is set, the next requests go to
the path that this one's answer names in `Location`.
Another status than 2xx is an error; a 429 or 503 with Retry-After is waited for, counted, and tried again.
"""

import json
import os
import re
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_HEAD = 64 * 1024
_STALLED = 120.0
"""Seconds without a byte after which an upload has failed."""

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_FIELD = re.compile(rb"\r\n(content-length|location|retry-after): *([^\r]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`head` lacks the path where it is `{path}`; the body is `count` bytes of `file` from `start`, then `tail`."""

    head: str
    file: str
    start: int
    count: int
    tail: str
    follow: bool = False


@dataclass(slots=True)
class Result:
    """What all uploads did; under a lock."""

    errors: int = 0
    waits: int = 0
    said: str = ""


class Uploader:
    """One upload after another on connections of its own."""

    def __init__(self, *, host: str, port: int, result: Result, lock: threading.Lock) -> None:
        self._address, self._result, self._lock = (host, port), result, lock

    def run(self, requests: list[Request]) -> None:
        """Send all requests of one upload."""
        path = ""
        try:
            with socket.create_connection(self._address, timeout=None) as connection:
                _limit(connection)
                for request in requests:
                    path = self._send(connection, request, path) or path
        except OSError as error:
            self._failed(repr(error))

    def _send(self, connection: socket.socket, request: Request, path: str) -> str | None:
        while True:
            _write(connection, request, path)
            status, fields = _answer(connection)
            if status in {429, 503} and b"retry-after" in fields:
                with self._lock:
                    self._result.waits += 1
                time.sleep(float(fields[b"retry-after"]))
                continue
            if not 200 <= status < 300:
                raise OSError(f"answered {status}")  # noqa: EM102 - it is only counted and shown
            return fields[b"location"].decode() if request.follow and b"location" in fields else None

    def _failed(self, said: str) -> None:
        with self._lock:
            self._result.errors += 1
            self._result.said = said


def _limit(connection: socket.socket) -> None:
    # In the kernel: with Python's own time-outs sockets do not block, and os.sendfile would not wait.
    seconds = int(_STALLED).to_bytes(8, sys.byteorder) + bytes(8)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _write(connection: socket.socket, request: Request, path: str) -> None:
    head = request.head.replace("{path}", path, 1).encode()
    connection.sendall(head, socket.MSG_MORE if request.count or request.tail else 0)
    if request.count:
        descriptor = os.open(request.file, os.O_RDONLY)
        try:
            start, stop = request.start, request.start + request.count
            while start < stop:
                start += os.sendfile(connection.fileno(), descriptor, start, stop - start)
        finally:
            os.close(descriptor)
    if request.tail:
        connection.sendall(bytes.fromhex(request.tail))


def _answer(connection: socket.socket) -> tuple[int, dict[bytes, bytes]]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(_HEAD)
        if not more:
            raise ConnectionResetError
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    match = _STATUS.match(head)
    fields = {name.lower(): value for name, value in _FIELD.findall(head)}
    left = int(fields.get(b"content-length", b"0")) - len(body)
    while left > 0 and (more := connection.recv(min(left, _HEAD))):
        left -= len(more)
    return int(match[1]) if match else 0, fields


def main() -> None:
    """Read the task `{host, port, uploads, fsync}` and print `{seconds, errors, waits, said}`.

    Files named by `fsync` are flushed after the answers, within the time.
    """
    task = json.load(sys.stdin)
    result, lock = Result(), threading.Lock()
    uploader = Uploader(host=task["host"], port=task["port"], result=result, lock=lock)
    uploads = [[Request(**request) for request in upload] for upload in task["uploads"]]
    begin = time.perf_counter()
    with ThreadPoolExecutor(len(uploads)) as threads:
        list(threads.map(uploader.run, uploads))
    for path in task["fsync"]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    seconds = time.perf_counter() - begin
    json.dump({"seconds": seconds, "errors": result.errors, "waits": result.waits, "said": result.said}, sys.stdout)


if __name__ == "__main__":
    main()
