"""The fault proxy does what it is told, and nothing else."""

import hashlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.services.fault_proxy import FaultProxy, fault_proxy
from tests.services.faults import (
    CloseAfter,
    Corrupt,
    Fault,
    LoseAnswer,
    Place,
    Refuse,
    Repeat,
    Reset,
    Rule,
    SendTwice,
    Slow,
    Stall,
    Truncate,
    Way,
    Zone,
)

CONTENT = bytes(range(256)) * 1000
Answer = tuple[int, bytes]


class Handler(BaseHTTPRequestHandler):
    """GET answers CONTENT (`/chunked` in chunks), PUT the digest of what it got."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    got: list[bytes]

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(CONTENT), 50_000):
                piece = CONTENT[at : at + 50_000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        else:
            self._answer(CONTENT)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(body)
        self.send_response(201)
        self._answer(hashlib.sha256(body).hexdigest().encode())

    def _answer(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is given
        """Be quiet."""


@pytest.fixture
def got() -> list[bytes]:
    """Return the bodies that the server got."""
    return []


@pytest.fixture
def proxy(got: list[bytes]) -> Iterator[FaultProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    with fault_proxy(f"http://127.0.0.1:{server.server_address[1]}") as running:
        yield running
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def call(proxy: FaultProxy) -> Iterator[Callable[..., Answer]]:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)

    def ask(method: str = "GET", path: str = "/", body: bytes | None = None) -> Answer:
        connection.request(method, path, body=body)
        with connection.getresponse() as answer:
            return answer.status, answer.read()

    yield ask
    connection.close()


def down(at: int = 0, zone: Zone = Zone.BODY) -> Place:
    return Place(way=Way.DOWN, at=at, zone=zone)


def up(at: int = 0, zone: Zone = Zone.BODY) -> Place:
    return Place(way=Way.UP, at=at, zone=zone)


@pytest.mark.parametrize("path", ["/", "/chunked"])
def test_without_a_plan_everything_passes_on_one_connection(
    proxy: FaultProxy, call: Callable[..., Answer], path: str
) -> None:
    for _ in range(3):
        assert call("GET", path) == (200, CONTENT)
    assert call("PUT", "/x", CONTENT) == (201, hashlib.sha256(CONTENT).hexdigest().encode())
    assert proxy.connections == 1
    assert [(one.method, one.status, one.up, one.down) for one in proxy.exchanges] == [
        *[("GET", 200, 0, len(CONTENT))] * 3, ("PUT", 201, len(CONTENT), 64),
    ]  # fmt: skip


@pytest.mark.parametrize("at", [0, 1, 100_000, len(CONTENT)])
@pytest.mark.parametrize("path", ["/", "/chunked"])
def test_a_truncated_answer_has_exactly_the_bytes_before_the_place(proxy: FaultProxy, path: str, at: int) -> None:
    proxy.plan(Rule(fault=Truncate(down(at))))
    with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    body = answer.partition(b"\r\n\r\n")[2]
    assert proxy.exchanges[0].down == at
    assert body == CONTENT[:at] or path == "/chunked"


@pytest.mark.parametrize("place", [down(), down(1000), down(5, Zone.HEAD), up(zone=Zone.HEAD), up(10, Zone.HEAD)])
def test_a_reset_is_a_reset(proxy: FaultProxy, call: Callable[..., Answer], place: Place) -> None:
    proxy.plan(Rule(fault=Reset(place)))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead, http.client.RemoteDisconnected)):
        call()
    assert proxy.struck(Reset) == 1


@pytest.mark.parametrize("fault", [Reset(up(1000)), Truncate(up(1000))])
def test_an_upload_that_breaks_off_reached_the_server_in_part_only(
    proxy: FaultProxy, call: Callable[..., Answer], got: list[bytes], fault: Fault
) -> None:
    proxy.plan(Rule(fault=fault, method="PUT"))
    status: int | None = None
    try:
        status, _ = call("PUT", "/x", CONTENT)
    except (ConnectionError, http.client.HTTPException):
        assert isinstance(fault, Reset)
    assert proxy.exchanges[0].up == 1000
    assert status in {None, 201}
    assert all(len(body) <= 1000 for body in got)


@pytest.mark.parametrize("path", ["/", "/chunked"])
@pytest.mark.parametrize("at", [0, 77_777, len(CONTENT) - 1])
def test_one_bit_is_flipped(proxy: FaultProxy, call: Callable[..., Answer], path: str, at: int) -> None:
    proxy.plan(Rule(fault=Corrupt(down(at), bit=3)))
    _, body = call("GET", path)
    assert [index for index, (one, other) in enumerate(zip(body, CONTENT, strict=True)) if one != other] == [at]
    assert body[at] == CONTENT[at] ^ 8
    assert call("GET", path) == (200, CONTENT)


def test_a_bit_of_an_upload_is_flipped(proxy: FaultProxy, call: Callable[..., Answer], got: list[bytes]) -> None:
    proxy.plan(Rule(fault=Corrupt(up(5))))
    assert call("PUT", "/x", CONTENT)[0] == 201
    assert got == [CONTENT[:5] + b"\x04" + CONTENT[6:]]


def test_a_piece_passes_twice(proxy: FaultProxy, call: Callable[..., Answer]) -> None:
    proxy.plan(Rule(fault=Repeat(down(70_000), size=1000)))
    _, body = call()
    assert body == (CONTENT[:71_000] + CONTENT[70_000:])[: len(CONTENT)]


def test_a_stall_for_a_time_passes(proxy: FaultProxy, call: Callable[..., Answer]) -> None:
    proxy.plan(Rule(fault=Stall(down(1000), seconds=0.05)), Rule(fault=Stall(up(1000), seconds=0.05)))
    assert call() == (200, CONTENT)
    assert call("PUT", "/x", CONTENT)[0] == 201
    assert proxy.struck(Stall) == 1


def test_a_stall_lasts(proxy: FaultProxy) -> None:
    proxy.plan(Rule(fault=Stall(down(1000))))
    with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        proxy.wait_until(lambda one: one.struck(Stall) == 1)
        assert len(raw.recv(1_000_000, socket.MSG_DONTWAIT)) < 2000
        proxy.drop_connections()
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_a_slow_direction_passes_everything(proxy: FaultProxy, call: Callable[..., Answer]) -> None:
    proxy.plan(Rule(fault=Slow(Way.DOWN, rate=5_000_000)))
    assert call() == (200, CONTENT)
    assert proxy.struck(Slow) == 1


def test_a_slow_direction_is_slow(proxy: FaultProxy) -> None:
    proxy.plan(Rule(fault=Slow(Way.DOWN, rate=100)))
    with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert 0 < len(raw.recv(1_000_000)) < 100


@pytest.mark.parametrize("reads_body", [True, False])
def test_a_burst_of_refusals_never_reaches_the_server(
    proxy: FaultProxy, call: Callable[..., Answer], got: list[bytes], *, reads_body: bool
) -> None:
    proxy.plan(Rule(fault=Refuse(502, retry_after=1, body=b"bad", reads_body=reads_body), skip=1, times=2))
    assert [call("PUT", "/x", b"body")[0] for _ in range(4)] == [201, 502, 502, 201]
    assert got == [b"body"] * 2


@pytest.mark.parametrize("resets", [True, False])
def test_a_lost_answer_was_worked_for(
    proxy: FaultProxy, call: Callable[..., Answer], got: list[bytes], *, resets: bool
) -> None:
    proxy.plan(Rule(fault=LoseAnswer(resets=resets)))
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        call("PUT", "/x", CONTENT)
    assert got == [CONTENT]
    assert call("PUT", "/x", CONTENT)[0] == 201


@pytest.mark.parametrize("at_once", [True, False])
def test_a_request_is_sent_twice_and_answered_once(
    proxy: FaultProxy, call: Callable[..., Answer], got: list[bytes], *, at_once: bool
) -> None:
    proxy.plan(Rule(fault=SendTwice(at_once=at_once)))
    assert call("PUT", "/x", CONTENT)[0] == 201
    assert got == [CONTENT] * 2
    assert call() == (200, CONTENT)


def test_a_kept_connection_is_closed_without_a_word(proxy: FaultProxy, call: Callable[..., Answer]) -> None:
    proxy.plan(Rule(fault=CloseAfter()))
    assert call() == (200, CONTENT)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        call()
    assert call() == (200, CONTENT)


def test_a_rule_counts_only_what_it_matches(proxy: FaultProxy, call: Callable[..., Answer]) -> None:
    proxy.plan(Rule(fault=Refuse(500), method="GET", path="b.jar", skip=1))
    answers = [call("GET", path)[0] for path in ("/a.jar", "/b.jar", "/a.jar", "/b.jar", "/b.jar")]
    assert answers == [200, 200, 200, 500, 200]
