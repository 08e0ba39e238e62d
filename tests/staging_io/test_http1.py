"""HTTP/1.1 of our own, against a socket that says exactly what a test wants."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import InvalidRequest, SourceUnavailable


class Scripted:
    """Answers each request with the next scripted bytes; `None` closes the connection before."""

    def __init__(self) -> None:
        self.script: list[bytes | None] = []
        self.pieces = 0
        self.requests: list[bytes] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._live = self._socket
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.script = []
        for one in (self._socket, self._live):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def wait_until_left(self) -> None:
        """Wait until the client has closed its connection; its end ends the loop that answers it."""
        deadline = time.monotonic() + 10
        while self._live.fileno() >= 0:
            assert time.monotonic() < deadline, "the client keeps the connection"
            time.sleep(0.005)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._live = connection
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while self.script:
            data = b""
            while b"\r\n\r\n" not in data:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
            self.requests.append(data)
            answer = self.script.pop(0)
            if answer is None:
                return
            step = self.pieces or len(answer)
            for at in range(0, len(answer), step):
                connection.sendall(answer[at : at + step])
            if b"connection: close" in answer.lower() or b"HTTP/1.0" in answer:
                return


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(HttpSettings(stall_timeout=5))
    yield made
    made.close()


def get(client: HttpClient, server: Scripted, *, method: str = "GET", path: str = "/a") -> tuple[int, bytes]:
    with client.open(method, server.url + path) as answer:
        return answer.status, answer.read()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
BODIES: list[tuple[bytes, bytes]] = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 200 \r\nCONTENT-LENGTH:5\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    (CHUNKED + b"\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", b"hello"),
]


@pytest.mark.parametrize(("said", "body"), BODIES)
@pytest.mark.parametrize("pieces", [0, 1, 7])
def test_every_framing_gives_the_body(
    client: HttpClient, server: Scripted, said: bytes, body: bytes, pieces: int
) -> None:
    server.script, server.pieces = [said], pieces
    assert get(client, server) == (200, body)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n-5\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/2 200\r\nConnection: close\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\nConnection: close", None,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nX: " + b"x" * 100_000,
    ],
)  # fmt: skip
def test_nonsense_is_an_unavailable_source(client: HttpClient, server: Scripted, said: bytes | None) -> None:
    server.script = [said]
    with pytest.raises(SourceUnavailable):
        get(client, server)


def test_connections_are_kept(client: HttpClient, server: Scripted) -> None:
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"] * 5
    assert [get(client, server) for _ in range(5)] == [(200, b"ok")] * 5
    assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.0 200 OK\r\n\r\nok"],
)
def test_a_connection_that_ends_is_not_kept(client: HttpClient, server: Scripted, said: bytes) -> None:
    server.script = [said, said]
    assert [get(client, server) for _ in range(2)] == [(200, b"ok")] * 2
    assert server.connections == 2


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(client: HttpClient, server: Scripted) -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    server.script = [ok, None, ok]
    assert [get(client, server) for _ in range(2)] == [(200, b"ok")] * 2
    assert server.connections == 2


def test_a_request_that_changes_something_is_never_sent_twice(client: HttpClient, server: Scripted) -> None:
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None, b"HTTP/1.1 200 OK\r\n\r\n"]
    get(client, server)
    with pytest.raises(SourceUnavailable), client.open("POST", server.url, body=b"x"):
        pass
    assert len(server.requests) == 2


def test_a_body_left_unread_costs_the_connection(client: HttpClient, server: Scripted) -> None:
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"] * 2
    with client.open("GET", server.url):
        pass
    get(client, server)
    assert server.connections == 2


def test_a_body_of_no_bytes_costs_nothing(client: HttpClient, server: Scripted) -> None:
    server.script = [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /b\r\n\r\n"] * 2
    for _ in range(2):
        with client.open("GET", server.url) as answer:
            assert answer.headers["location"] == "/b"
    assert server.connections == 1


def test_an_answer_to_head_has_no_body(client: HttpClient, server: Scripted) -> None:
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"] * 2
    assert [get(client, server, method="HEAD") for _ in range(2)] == [(200, b"")] * 2
    assert server.connections == 1


def test_what_is_sent_is_plain(client: HttpClient, server: Scripted) -> None:
    server.script = [b"HTTP/1.1 204 No Content\r\n\r\n"] * 2
    with client.open("POST", f"{server.url}/größe%20x?a=b%26c", headers={"X": "y"}, body=b"body"):
        pass
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /gr%C3%B6%C3%9Fe%20x?a=b%26c HTTP/1.1"
    assert {b"X: y", b"Content-Length: 4", b"Accept-Encoding: identity"} <= set(head.split(b"\r\n"))
    assert body == b"body"


@pytest.mark.parametrize("url", ["ftp://x/a", "http://", "http://x:99999/", "nonsense", "http://a b/"])
def test_what_is_no_url_is_refused_and_not_repeated(client: HttpClient, url: str) -> None:
    with pytest.raises(InvalidRequest), client.open("GET", url):
        pass


def test_a_header_cannot_carry_another_one(client: HttpClient, server: Scripted) -> None:
    with pytest.raises(InvalidRequest), client.open("GET", server.url, headers={"X": "y\r\nEvil: z"}):
        pass


def test_a_silent_peer_counts_as_gone(server: Scripted) -> None:
    client = HttpClient(HttpSettings(stall_timeout=0.1))
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", None]
    with client.open("GET", server.url) as answer:
        buffer = memoryview(bytearray(5))
        assert answer.read_into(buffer) == 3  # what came is not lost
        with pytest.raises(SourceUnavailable, match="timed out"):
            answer.read_into(buffer)
    client.close()


@given(
    body=st.binary(max_size=2000),
    cuts=st.lists(st.integers(1, 300), min_size=1, max_size=20),
    buffer=st.integers(1, 500),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_chunks_give_the_same_body(
    client: HttpClient, server: Scripted, body: bytes, cuts: list[int], buffer: int
) -> None:
    chunks, rest = bytearray(), body
    for cut in cuts:
        piece, rest = rest[:cut], rest[cut:]
        chunks += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
    chunks += b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b""
    server.script = [CHUNKED + b"Connection: close\r\n\r\n" + chunks + b"0\r\n\r\n"]
    found, view = bytearray(), memoryview(bytearray(buffer))
    with client.open("GET", server.url) as answer:
        while count := answer.read_into(view):
            found += view[:count]
    assert bytes(found) == body


def test_a_proxy_is_used_but_for_direct_hosts(server: Scripted) -> None:
    proxied = HttpClient(HttpSettings(proxies={"http": server.url}, no_proxy=(".direct.example",)))
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]
    with proxied.open("GET", "http://repository.example/a.jar") as answer:
        assert answer.read() == b"ok"
    assert server.requests[0].startswith(b"GET http://repository.example/a.jar HTTP/1.1")
    with pytest.raises(SourceUnavailable), proxied.open("GET", "http://a.direct.example/a.jar"):
        pass
    proxied.close()


def test_a_connection_that_is_left_after_the_end_is_closed(server: Scripted) -> None:
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"] * 2
    client = HttpClient(HttpSettings(stall_timeout=5))
    answer = client.open("GET", f"{server.url}/a")
    client.close()  # as the end of a run does while a thread still reads
    assert answer.read() == b"hello"
    answer.close()
    server.wait_until_left()
