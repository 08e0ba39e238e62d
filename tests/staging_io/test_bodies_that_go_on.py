"""Bodies whose end nobody knows: what has come is given at once, though whole buffers are the rule."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from staging_io.http import Answer, HttpClient, HttpSettings
from staging_protocol.errors import SourceUnavailable
from tests.services.connect_proxy import connect_proxy

HEADS = {
    "until the connection ends": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"%b", b""),
    "with a size": (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"%b", b""),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\n%b\r\n", b"0\r\n\r\n"),
}


class Talker:
    """Answers one request: `one`, after `goes_on` is set `two`, and after `ends` is set the end.

    With `cut` the end comes without `two`.  `was_heard` tells whether the test asked for the end, or time was over.
    """

    def __init__(self, framing: str, *, cut: bool = False) -> None:
        self.goes_on = threading.Event()
        self.ends = threading.Event()
        self.was_heard = False
        self._framing = framing
        self._cut = cut
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        head, frame, end = HEADS[self._framing]
        with suppress(OSError):
            connection, _ = self._socket.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head + frame % b"one")
                self.goes_on.wait(20)
                if not self._cut:
                    connection.sendall(frame % b"two")
                    self.was_heard = self.ends.wait(20)
                    connection.sendall(end)

    def close(self) -> None:
        self.goes_on.set()
        self.ends.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


def some(answer: Answer) -> bytes:
    buffer = memoryview(bytearray(1000))
    return bytes(buffer[: answer.read_some(buffer)])


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


@pytest.mark.parametrize("framing", HEADS)
def test_what_has_come_is_given_before_the_rest(framing: str, http: HttpClient) -> None:
    talker = Talker(framing)
    try:
        with http.open("GET", f"http://127.0.0.1:{talker.port}/") as answer:
            assert some(answer) == b"one"
            talker.goes_on.set()
            assert some(answer) == b"two"
            talker.ends.set()
            assert (some(answer), some(answer)) == (b"", b"")
    finally:
        talker.close()
    assert talker.was_heard  # before the end, not because of it


@pytest.mark.parametrize("framing", ["with a size", "in chunks"])
def test_a_body_that_ends_too_early_is_an_error(framing: str, http: HttpClient) -> None:
    talker = Talker(framing, cut=True)
    try:
        with http.open("GET", f"http://127.0.0.1:{talker.port}/") as answer:
            assert some(answer) == b"one"
            talker.goes_on.set()
            with pytest.raises(SourceUnavailable, match="broke off"):
                some(answer)
    finally:
        talker.close()


@pytest.mark.parametrize("framing", HEADS)
def test_a_proxy_holds_nothing_back(framing: str) -> None:
    talker = Talker(framing)
    with connect_proxy({"talker.example": talker.port}) as proxy:
        http = HttpClient(HttpSettings(proxies={"http": proxy.url}))
        try:
            with http.open("GET", f"http://talker.example:{talker.port}/") as answer:
                assert some(answer) == b"one"
                talker.goes_on.set()
                assert some(answer) == b"two"
                talker.ends.set()
                assert some(answer) == b""
        finally:
            http.close()
            talker.close()
    assert talker.was_heard


def test_a_body_that_ends_too_early_behind_a_proxy_is_an_error_too() -> None:
    talker = Talker("with a size", cut=True)
    with connect_proxy({"talker.example": talker.port}) as proxy:
        http = HttpClient(HttpSettings(proxies={"http": proxy.url}))
        try:
            with http.open("GET", f"http://talker.example:{talker.port}/") as answer:
                assert some(answer) == b"one"
                talker.goes_on.set()
                with pytest.raises(SourceUnavailable, match="3 bytes before its end"):
                    some(answer)
        finally:
            http.close()
            talker.close()
