"""Properties of what reads the answers of other servers: header fields, and HTTP/1.1 itself."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from resolver.sources import ranged
from resolver.sources.http import HttpSource
from staging_io import http1
from staging_io.connection import Connection
from staging_io.http import HttpClient
from staging_io.refusals import retry_after
from staging_protocol.errors import StagingError
from staging_protocol.uris import DependencyUri
from tests.resolver.outside import outside


class _Fields:
    """An answer with a status and header fields, and nothing else."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers

    def close(self) -> None:
        """Do nothing."""


_ANSWER_FIELDS: Final = ("Content-Range", "Content-Length", "ETag", "Repr-Digest", "Retry-After", "Date", "Location")


def answer_fields(data: bytes) -> None:
    """Fields of answers of web servers: a range that was asked for, or one of our errors."""
    lines = data.decode("latin-1").split("\n")
    answer = _Fields(206 if len(lines) % 2 else 200, dict(zip(_ANSWER_FIELDS, lines, strict=False)))
    wait = retry_after(answer.headers)
    assert wait is None or wait >= 0
    other = ranged.retry_after(answer.headers)
    assert other is None or other >= 0
    if location := answer.headers.get("Location"):
        _redirected(location)
    try:
        reading = ranged.read_range(
            lambda _: answer, name="x", version=None, start=0, stop=8,  # type: ignore[arg-type,return-value]
            refusal=lambda one: ranged.refused(one, name="x"),
        )  # fmt: skip
    except StagingError:
        return
    assert reading.start == 0
    assert reading.stop is None or reading.stop >= 0


def _redirected(location: str) -> None:
    source = HttpSource(outside(HttpClient()))
    try:
        target = source._next(urlsplit("https://host/a"), location=location, uri=DependencyUri.parse("https://host/a"))
    except StagingError:
        return
    assert target.scheme == "https"
    assert "@" not in target.netloc


def an_answer(data: bytes) -> None:
    """HTTP/1.1 answers, from a real socket: some bytes, or OSError, which becomes ours in `direct`."""
    ours, theirs = socket.socketpair()
    sender = threading.Thread(target=_say, args=(theirs, data))
    sender.start()
    connection = _connection(ours)
    try:
        with suppress(OSError):
            answer = http1.Answer(connection, method="GET")
            body = answer.read(len(data) + 1)
            assert len(body) <= len(data)
            assert 200 <= answer.status < 1000
    finally:
        connection.close()
        sender.join()


def _say(connection: socket.socket, data: bytes) -> None:
    with connection:
        try:
            connection.sendall(data)
        except OSError:
            return


def _connection(connected: socket.socket) -> Connection:
    """Return a Connection on a socket that stands already."""
    made = Connection.__new__(Connection)
    made._left, made._socket, made._flags = memoryview(b""), connected, 0
    return made
