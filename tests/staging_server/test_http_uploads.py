"""Uploads on real sockets: the next request is found behind a body, and whoever breaks off leaves nothing."""

import asyncio
import os
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme

from staging_server.metrics.registry import Metrics
from staging_server.uploads import request_body
from tests.staging_server.live import BYTES, Live, digest_of, eventually, live_server, new_file, read_head

_LARGE = os.urandom(1024) * 3000 + b"the end"
_AT_ONCE = b"\1\0\0\0\0\0\0\0"
_GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def put_head(content: bytes, *, size: int | None = None, more: str = "", namespace: str = "team-a") -> bytes:
    """Return the head of an upload of `content`."""
    return (
        f"PUT /v1/namespaces/{namespace}/blobs/{digest_of(content)} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {BYTES['Content-Type']}\r\nContent-Length: {len(content) if size is None else size}\r\n"
        f"{more}\r\n"
    ).encode()


@pytest.fixture(params=["straight", "by chunks"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bodies go either way; what is promised does not depend on it."""
    monkeypatch.setattr(request_body, "_WORTH", 0 if request.param == "straight" else 2**60)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the bytes that handlers take from bodies, piece by piece."""
    pieces: list[int] = []
    real = Metrics.uploaded

    def counting(metrics: Metrics, size: int) -> None:
        pieces.append(size)
        real(metrics, size)

    monkeypatch.setattr(Metrics, "uploaded", counting)
    return pieces


async def nothing_is_left(live: Live, folder: Path) -> bool:
    if live.server.state.traffic.in_flight:
        return False
    files = await asyncio.to_thread(lambda: [*(folder / "data" / "uploads").iterdir()])
    stored = await asyncio.to_thread(lambda: [*(folder / "data" / "sha256").glob("*/*")])
    return not files and not stored


async def test_requests_behind_a_large_body_are_answered_on_the_same_connection(
    tmp_path: Path, taken: list[int]
) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        async with live.raw() as (reader, writer):
            writer.write(put_head(_LARGE) + _LARGE + _GET + _GET)
            assert (await read_head(reader))[0] == 201
            for _ in range(2):
                status, fields = await read_head(reader)
                assert (status, await reader.readexactly(int(fields["Content-Length"]))) == (200, b"ok\n")
    assert sum(taken) == len(_LARGE)


async def test_many_uploads_follow_one_another_on_a_connection(tmp_path: Path) -> None:
    contents = [bytes([number]) * (number * 300_000 + 1) for number in range(5)]
    async with live_server(tmp_path) as live:
        await live.create(*(new_file(content, name=f"{content[0]}.jar") for content in contents))
        async with live.raw() as (reader, writer):
            writer.write(b"".join(put_head(content) + content for content in contents))
            assert [(await read_head(reader))[0] for _ in contents] == [201] * 5


async def test_a_large_body_is_sent_after_continue(tmp_path: Path, taken: list[int]) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        async with live.raw() as (reader, writer):
            writer.write(put_head(_LARGE, more="Expect: 100-continue\r\n"))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(_LARGE + _GET)
            assert (await read_head(reader))[0] == 201
            assert (await read_head(reader))[0] == 200
    assert sum(taken) == len(_LARGE)


async def test_wrong_bytes_are_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        async with live.raw() as (reader, writer):
            writer.write(put_head(_LARGE) + _LARGE[:-1] + b"?")
            status, fields = await read_head(reader)
            assert status == 422
            await reader.readexactly(int(fields["Content-Length"]))
            assert await nothing_is_left(live, tmp_path)
            writer.write(put_head(_LARGE) + _LARGE)
            assert (await read_head(reader))[0] == 201


async def test_a_disk_that_fills_up_ends_the_upload_and_the_rest_is_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _views: object) -> int:
        raise OSError(28, "No space left on device")

    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        with monkeypatch.context() as patch:
            patch.setattr(os, "writev", full)
            async with live.raw() as (reader, writer):
                writer.write(put_head(_LARGE) + _LARGE[:-1000])
                status, fields = await read_head(reader)
                assert (status, fields["Connection"]) == (507, "close")
                writer.write(_GET)
                assert (await reader.read()).count(b"HTTP/1.1") == 0
        await eventually(lambda: nothing_is_left(live, tmp_path))
        assert (await live.put(_LARGE)).status == 201


async def test_a_body_that_stalls_in_the_middle_is_given_up(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"stall": 0.7}) as live:
        await live.create(new_file(_LARGE))
        async with live.raw() as (reader, writer):
            writer.write(put_head(_LARGE) + _LARGE[:2_000_000])
            status, fields = await read_head(reader)
            assert (status, fields["Connection"]) == (408, "close")
        await eventually(lambda: nothing_is_left(live, tmp_path))


async def test_a_client_that_sends_little_by_little_is_heard(tmp_path: Path, taken: list[int]) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        async with live.raw() as (reader, writer):
            writer.write(put_head(_LARGE, more="Expect: 100-continue\r\n"))
            await reader.readuntil(b"\r\n\r\n")
            for start in range(0, 3000, 1000):
                writer.write(_LARGE[start : start + 1000])
                await eventually(lambda start=start: sum(taken) == start + 1000)
            writer.write(_LARGE[3000:])
            assert (await read_head(reader))[0] == 201


@pytest.mark.parametrize("how", ["reset", "half close"])
async def test_a_client_that_breaks_off_leaves_nothing(tmp_path: Path, taken: list[int], how: str) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        async with live.raw() as (reader, writer):
            writer.write(put_head(_LARGE) + _LARGE[:2_000_000])
            await eventually(lambda: bool(taken))
            if how == "reset":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                writer.transport.abort()
            else:
                writer.write_eof()
                assert await reader.read() == b""
            await eventually(lambda: nothing_is_left(live, tmp_path))
        assert (await live.put(_LARGE)).status == 201


async def test_over_tls_the_next_request_is_found_too(tmp_path: Path, taken: list[int]) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = {"certificate_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    trusting = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
    async with trusting, live_server(tmp_path, tls=tls) as live:
        await live.session.close()
        live.session = trusting
        other = _LARGE[::-1]
        await live.create(new_file(_LARGE), new_file(other, name="b.jar"))
        reader, writer = await asyncio.open_connection(live.host, live.port, ssl=context)
        writer.write(put_head(_LARGE) + _LARGE + put_head(other) + other + _GET)
        assert [(await read_head(reader))[0] for _ in range(3)] == [201, 201, 200]
        writer.close()
        await writer.wait_closed()
    assert sum(taken) == 2 * len(_LARGE)


async def test_an_upload_under_way_is_finished_while_the_server_drains(tmp_path: Path, taken: list[int]) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        async with live.raw() as (reader, writer):
            writer.write(put_head(_LARGE) + _LARGE[:2_000_000])
            await eventually(lambda: bool(taken))
            live.server.state.traffic.draining = live.server.state.traffic.closed = True
            writer.write(_LARGE[2_000_000:])
            assert (await read_head(reader))[0] == 201


async def test_an_upload_that_is_cut_off_at_the_end_leaves_nothing(tmp_path: Path, taken: list[int]) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_LARGE))
        reader, writer = await asyncio.open_connection(live.host, live.port)
        writer.write(put_head(_LARGE) + _LARGE[:2_000_000])
        await eventually(lambda: bool(taken))
    with pytest.raises(asyncio.IncompleteReadError):
        await read_head(reader)
    writer.close()
    await writer.wait_closed()
    assert await nothing_is_left(live, tmp_path)


async def _head_of_upload(writer: asyncio.StreamWriter, content: bytes, *, namespace: str = "team-a") -> None:
    writer.write(put_head(content, more="Expect: 100-continue\r\n", namespace=namespace))
    await writer.drain()


async def test_who_waits_for_a_place_is_not_asked_for_its_bytes(tmp_path: Path) -> None:
    other = _LARGE[::-1]
    async with live_server(tmp_path, limits={"uploads_in_flight": 1}) as live:
        await live.create(new_file(_LARGE), new_file(other, name="b.jar"))
        async with live.raw() as (first, to_first), live.raw() as (second, to_second):
            to_first.write(put_head(_LARGE) + _LARGE[:2_000_000])
            uploads = live.server.state.parts.uploads
            await eventually(lambda: uploads.in_flight == 1)
            await _head_of_upload(to_second, other)
            await eventually(lambda: uploads.waiting == 1)
            to_first.write(_LARGE[2_000_000:])
            assert (await read_head(first))[0] == 201
            assert await second.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            to_second.write(other + _GET)
            assert [(await read_head(second))[0] for _ in range(2)] == [201, 200]


@pytest.mark.parametrize(("sent", "resets"), [(0, False), (50_000, False), (2_000_000, True)])
async def test_who_leaves_while_it_waits_leaves_the_queue(tmp_path: Path, sent: int, *, resets: bool) -> None:
    # Who ends in an orderly way with much unsent behind a full window is noticed only when its bytes are read.
    async with live_server(tmp_path, limits={"uploads_in_flight": 1}) as live:
        other = _LARGE[::-1]
        await live.create(new_file(_LARGE), new_file(other, name="b.jar"))
        uploads = live.server.state.parts.uploads
        async with live.raw() as (first, to_first):
            to_first.write(put_head(_LARGE) + _LARGE[:2_000_000])
            await eventually(lambda: uploads.in_flight == 1)
            async with live.raw() as (_, to_second):
                to_second.write(put_head(other) + other[:sent])
                await eventually(lambda: uploads.waiting == 1)
                if resets:
                    to_second.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                to_second.transport.abort()
                await eventually(lambda: uploads.waiting == 0)
            to_first.write(_LARGE[2_000_000:])
            assert (await read_head(first))[0] == 201


async def test_a_leaving_server_sends_waiting_uploads_away(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"uploads_in_flight": 1}) as live:
        other = _LARGE[::-1]
        await live.create(new_file(_LARGE), new_file(other, name="b.jar"))
        uploads = live.server.state.parts.uploads
        async with live.raw() as (first, to_first), live.raw() as (second, to_second):
            to_first.write(put_head(_LARGE) + _LARGE[:2_000_000])
            await eventually(lambda: uploads.in_flight == 1)
            await _head_of_upload(to_second, other)
            await eventually(lambda: uploads.waiting == 1)
            uploads.drain()
            status, fields = await read_head(second)
            assert (status, fields["Connection"]) == (503, "close")
            assert fields["Retry-After"]
            to_first.write(_LARGE[2_000_000:])
            assert (await read_head(first))[0] == 201


async def test_many_uploads_of_two_namespaces_at_once_all_succeed(tmp_path: Path) -> None:
    limits = {"uploads_in_flight": 4, "uploads_per_namespace": 2}
    contents = [number.to_bytes(2, "big") * 300_000 for number in range(30)]
    async with live_server(tmp_path, limits=limits) as live:
        for namespace in ("team-a", "team-b"):
            files = [new_file(content, name=f"{number}.jar") for number, content in enumerate(contents)]
            await live.create(*files, namespace=namespace)
        answers = await asyncio.gather(
            *(live.put(content, namespace=namespace) for namespace in ("team-a", "team-b") for content in contents)
        )
        assert {answer.status for answer in answers} <= {201, 204}
        assert live.server.state.parts.uploads.in_flight == 0
