"""Clients that take their time: each is let go in time, and the others do not notice it."""

import asyncio
import contextlib
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import trustme

from staging_server.connections.open_connections import OpenConnections
from tests.staging_server.certificates import MountedPair, trusting
from tests.staging_server.live import BYTES, Live, digest_of, eventually, live_server, new_file, read_head
from tests.staging_server.served import served

_MANY = 300
_BIG = os.urandom(24 * 1024 * 1024)
_HEAD = b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n"
_INFO = _HEAD + b"\r\n"

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _metric(live: Live, name: str) -> float:
    text = (await live.call("GET", "/metrics")).body.decode()
    found = re.search(rf"^sparkstaging_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


def _get(made: Any) -> bytes:
    path = f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@contextlib.asynccontextmanager
async def _connected(live: Live, *, count: int) -> AsyncIterator[list[Wire]]:
    """Open `count` bare connections at once."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(live.raw()) for _ in range(count)]


@contextlib.asynccontextmanager
async def _small_window(live: Live, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Open a connection whose receive buffer is small, so that what the client does not read stays with the server."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (live.host, live.port))
    reader, writer = await asyncio.open_connection(
        sock=client, limit=1024, ssl=tls, server_hostname=None if tls is None else live.host
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _until_closed(wire: Wire) -> bytes:
    """Return what comes until the server closes the connection."""
    with contextlib.suppress(ConnectionError):
        return await wire[0].read()
    return b""


async def test_hundreds_of_slow_heads_are_cut_off_and_nobody_else_notices(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"headers": 2.0}) as live:
        made = await live.staged(b"content")
        async with _connected(live, count=_MANY) as slow:
            closed = [asyncio.create_task(_until_closed(wire)) for wire in slow]
            for byte in _HEAD[:20]:
                for _, writer in slow:
                    writer.write(bytes([byte]))
                path = f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar"
                assert (await live.call("GET", path)).body == b"content"
            assert await _metric(live, "connections") > _MANY
            assert set(await asyncio.wait_for(asyncio.gather(*closed), 30)) == {b""}
        assert await _metric(live, "connections") <= 2


def test_slow_heads_leave_no_memory_behind(tmp_path: Path) -> None:
    with served(tmp_path, TIMEOUTS__HEADERS="1.0") as server:
        memory = psutil.Process(server.process.pid)
        used: list[int] = []
        for _ in range(4):
            with contextlib.ExitStack() as stack:
                slow = [stack.enter_context(server.raw()) for _ in range(_MANY)]
                for connection in slow:
                    connection.sendall(_HEAD)
                assert server.call("GET", "/livez").status == 200
                for connection in slow:
                    assert connection.recv(1) == b""
            used.append(memory.memory_info().rss)
        # What the first rounds made the allocator take stays; what each connection had is used again.
        assert used[-1] - used[1] < 4 * 1024 * 1024


async def test_who_connects_and_never_asks_is_let_go(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"headers": 0.3, "keep_alive": 600}) as live, live.raw() as wire:
        assert await asyncio.wait_for(_until_closed(wire), 10) == b""


async def test_a_kept_connection_that_asks_nothing_more_is_let_go(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"headers": 600, "keep_alive": 0.3}) as live, live.raw() as wire:
        wire[1].write(_INFO)
        answer = await asyncio.wait_for(_until_closed(wire), 10)
        assert answer.startswith(b"HTTP/1.1 200")


async def test_a_kept_connection_may_ask_again_later_than_a_head_may_take(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"headers": 0.2}) as live, live.raw() as (reader, writer):
        others = asyncio.create_task(_all_closed(live, count=3))
        for _ in range(2):
            writer.write(_INFO)
            status, fields = await read_head(reader)
            await reader.readexactly(int(fields["Content-Length"]))
            assert status == 200
            await others  # by then the time for a head has passed


async def _all_closed(live: Live, *, count: int) -> None:
    async with _connected(live, count=count) as silent:
        await asyncio.gather(*map(_until_closed, silent))


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_reader_that_takes_a_little_now_and_then_is_cut_off(tmp_path: Path, *, encrypted: bool) -> None:
    authority = trustme.CA()
    tls = MountedPair(tmp_path / "secret", authority=authority).settings if encrypted else {}
    context = trusting(authority) if encrypted else None
    async with (
        live_server(tmp_path, timeouts={"stall": 1.0, "slowest_rate": 1_000_000}, tls=tls) as live,
        _session(live, context),
    ):
        made = await live.staged(_BIG)
        async with _small_window(live, tls=context) as (reader, writer):
            writer.write(_get(made))
            await eventually(lambda: live.server.state.traffic.in_flight == 1)
            while live.server.state.traffic.in_flight:
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(512), 10)
                await asyncio.sleep(0.02)  # the client's slowness, not ours
        assert await _metric(live, 'connections_closed_total{reason="slow"}') == 1


@contextlib.asynccontextmanager
async def _session(live: Live, context: ssl.SSLContext | None) -> AsyncIterator[None]:
    await live.session.close()
    connector = aiohttp.TCPConnector(ssl=True if context is None else context)
    async with aiohttp.ClientSession(connector=connector) as live.session:
        yield


async def test_a_reader_that_is_slow_but_keeps_its_rate_gets_the_whole_file(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"stall": 0.5, "slowest_rate": 100_000}) as live:
        made = await live.staged(_BIG)
        async with _small_window(live) as (reader, writer):
            writer.write(_get(made))
            _, fields = await read_head(reader)
            left, begun = int(fields["Content-Length"]), asyncio.get_running_loop().time()
            while left:
                left -= len(await reader.readexactly(min(left, 64 * 1024)))
                if asyncio.get_running_loop().time() < begun + 2:  # four windows at a tenth of its speed
                    await asyncio.sleep(0.02)
        assert await _metric(live, 'connections_closed_total{reason="slow"}') == 0


async def test_an_upload_of_a_byte_now_and_then_is_cut_off(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"stall": 0.5, "slowest_rate": 100_000}) as live:
        content = b"x" * 100_000
        await live.create(new_file(content))
        fields = {"Host": "localhost", "Content-Length": str(len(content)), **BYTES}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        async with live.raw() as (reader, writer):
            writer.write(f"PUT /v1/namespaces/team-a/blobs/{digest_of(content)} HTTP/1.1\r\n{lines}\r\n".encode())
            answer = asyncio.create_task(read_head(reader))
            async with asyncio.timeout(20):
                while not answer.done():
                    writer.write(b"x")
                    await asyncio.sleep(0.02)  # the client's slowness, not ours
            assert (await answer)[0] == 408
        assert await _metric(live, "uploads_in_flight") == 0


async def test_at_the_limit_the_one_that_has_waited_longest_makes_room(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"connections": 16}) as live, _connected(live, count=16) as idle:
        for _ in range(3):
            async with live.raw() as (reader, writer):
                writer.write(_INFO)
                assert (await read_head(reader))[0] == 200
        assert await asyncio.wait_for(_until_closed(idle[0]), 10) == b""
        idle[-1][1].write(_INFO)
        assert (await read_head(idle[-1][0]))[0] == 200
        assert await _metric(live, 'connections_closed_total{reason="crowded-out"}') >= 1


async def test_when_all_are_at_work_only_probes_are_answered(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"connections": 4}) as live:
        made = await live.staged(_BIG)
        await live.session.close()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(4):
                _, writer = await stack.enter_async_context(_small_window(live))
                writer.write(_get(made))
            await eventually(lambda: live.server.state.traffic.in_flight == 4)
            for line, status in ((b"GET /livez", 200), (b"GET /metrics", 200), (b"GET /v1/info", 503)):
                async with live.raw() as (reader, writer):
                    writer.write(line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answer = await asyncio.wait_for(reader.read(), 10)  # and the connection is closed
                    assert answer.startswith(f"HTTP/1.1 {status}".encode())


async def test_unfinished_heads_do_not_keep_a_probe_out(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"connections": 1}) as live:
        made = await live.staged(_BIG)
        await live.session.close()
        async with _small_window(live) as (_, writer):
            writer.write(_get(made))
            await eventually(lambda: live.server.state.traffic.in_flight == 1)
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(32):
                    _, unfinished = await stack.enter_async_context(_small_window(live))
                    unfinished.write(_INFO[:-2])
                async with live.raw() as (reader, probe):
                    probe.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert (await read_head(reader))[0] == 200


class _Member:
    def __init__(self, since: float | None) -> None:
        self.waits_since = since
        self.wire: socket.socket | None = None
        self.closed = False

    def give_up(self) -> None:
        self.closed = True


def test_nobody_at_work_is_closed_for_a_new_connection() -> None:
    connections = OpenConnections(most=3)
    members = [_Member(None), _Member(5.0), _Member(None)]
    for member in members:
        connections.add(member)
    assert connections.make_room() == 1
    assert [member.closed for member in members] == [False, True, False]
    connections.add(_Member(None))
    assert (connections.make_room(), connections.has_room, connections.is_full) == (0, False, False)
    for _ in range(32):
        connections.add(_Member(None))
    assert connections.is_full
