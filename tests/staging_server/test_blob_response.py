"""What a reader of a file gets, over real sockets, plain and encrypted."""

import errno
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from staging_server.blobs.base import OpenBlob
from staging_server.sending import blob_response
from tests.staging_server.live import Answer, Live, digest_of, eventually, live_server, read_head

_SMALL = bytes(range(256)) * 8
_LARGE = os.urandom(3 * 1024 * 1024 + 7)


def _path(made: Mapping[str, Any]) -> str:
    return f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar"


async def _read(live: Live, made: Mapping[str, Any], method: str = "GET", **fields: str) -> Answer:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return await live.call(method, _path(made), headers=headers, token=made["token"])


@pytest.mark.parametrize("content", [b"", _SMALL, _LARGE], ids=["empty", "small", "large"])
async def test_whole_files_and_ranges_are_the_stored_bytes(tmp_path: Path, content: bytes) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(content)
        whole = await _read(live, made)
        assert (whole.status, whole.body == content) == (200, True)
        if content:
            part = await _read(live, made, Range=f"bytes=5-{len(content) - 2}")
            assert (part.status, part.body == content[5:-1]) == (206, True)
            assert part.headers["Content-Range"] == f"bytes 5-{len(content) - 2}/{len(content)}"
            tail = await _read(live, made, Range="bytes=-9")
            assert (tail.status, tail.body) == (206, content[-9:])


async def test_the_answer_says_what_the_file_is(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_SMALL)
        fields = (await _read(live, made)).headers
        assert fields["ETag"] == f'"{digest_of(_SMALL)}"'
        assert fields["Repr-Digest"].startswith("sha-256=:")
        assert fields["Accept-Ranges"] == "bytes"
        assert fields["Cache-Control"] == "private, max-age=31536000, immutable"
        assert fields["X-Content-Type-Options"] == "nosniff"
        assert fields["Content-Disposition"].startswith('attachment; filename="a.jar"')
        assert fields["Content-Type"] == "application/octet-stream"


async def test_head_answers_as_get_does_without_the_body(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_SMALL)
        get, head = await _read(live, made), await _read(live, made, "HEAD", Range="bytes=0-3")
        assert (head.status, head.body) == (200, b"")
        own = {"Date", "X-Request-ID"}
        assert {k: v for k, v in head.headers.items() if k not in own} == {
            k: v for k, v in get.headers.items() if k not in own
        }


async def test_what_the_client_has_is_not_sent_again(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_SMALL)
        answer = await _read(live, made, If_None_Match=f'"x", "{digest_of(_SMALL)}"')
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["ETag"] == f'"{digest_of(_SMALL)}"'
        assert "Content-Type" not in answer.headers


async def test_a_stale_if_range_gets_the_whole_file(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_SMALL)
        stale = await _read(live, made, Range="bytes=0-3", If_Range='"stale"')
        assert (stale.status, stale.body) == (200, _SMALL)
        fresh = await _read(live, made, Range="bytes=0-3", If_Range=f'"{digest_of(_SMALL)}"')
        assert (fresh.status, fresh.body) == (206, _SMALL[:4])


async def test_refused_ranges_and_preconditions_are_problems(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_SMALL)
        outside = await _read(live, made, Range=f"bytes={len(_SMALL)}-")
        assert (outside.status, outside.json["code"]) == (416, "range-not-satisfiable")
        assert outside.headers["Content-Range"] == f"bytes */{len(_SMALL)}"
        other = await _read(live, made, If_Match='"other"')
        assert (other.status, other.json["code"]) == (412, "precondition-failed")


async def test_a_connection_serves_many_files_one_after_another(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_LARGE)
        request = f"GET {_path(made)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        async with live.raw() as (reader, writer):
            writer.write(request * 3)
            for _ in range(3):
                status, fields = await read_head(reader)
                assert (status, await reader.readexactly(int(fields["Content-Length"])) == _LARGE) == (200, True)


async def test_head_and_body_of_a_small_file_leave_in_one_packet(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_SMALL)
        async with live.raw() as (reader, writer):
            writer.write(f"GET {_path(made)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert (await reader.read(65536)).endswith(_SMALL)


async def test_large_files_go_by_sendfile_and_small_ones_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = _count_reads(monkeypatch)
    async with live_server(tmp_path) as live:
        small, large = await live.staged(_SMALL), await live.staged(_LARGE, name="a.jar")
        assert (await _read(live, large)).body == _LARGE
        assert (await _read(live, small)).body == _SMALL
        assert counts == []


async def test_a_small_file_that_is_not_in_memory_is_read_by_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cold(*_: Any, **__: Any) -> None:
        return None

    counts = _count_reads(monkeypatch)
    monkeypatch.setattr(blob_response, "read_if_warm", cold)
    async with live_server(tmp_path) as live:
        answer = await _read(live, await live.staged(_SMALL))
        assert (answer.body, counts) == (_SMALL, [len(_SMALL)])


async def test_without_sendfile_the_file_is_read_in_large_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.EINVAL, "no sendfile here")

    async with live_server(tmp_path) as live:
        made = await live.staged(_LARGE)
        monkeypatch.setattr(os, "sendfile", refuse)
        counts = _count_reads(monkeypatch)
        answer = await _read(live, made)
        assert (answer.status, answer.body == _LARGE) == (200, True)
        assert max(counts) == 1024 * 1024


async def test_over_tls_no_thread_reads_what_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = {"certificate_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    async with live_server(tmp_path, tls=tls) as live:
        await live.session.close()
        live.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        made = await live.staged(_LARGE)
        counts = _count_reads(monkeypatch)
        answer = await _read(live, made)
        await live.session.close()
        assert live.server.url.startswith("https://")
        assert (answer.status, answer.body == _LARGE) == (200, True)
        assert counts == []


@pytest.mark.parametrize("content", [_SMALL, _LARGE], ids=["small", "large"])
async def test_every_opened_blob_is_closed_whatever_the_client_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    async with live_server(tmp_path) as live:
        opened = _count_open(live, monkeypatch)
        made = await live.staged(content)
        await _read(live, made)
        for _ in range(5):
            async with live.raw() as (_, writer):
                writer.write(f"GET {_path(made)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                await writer.drain()
                writer.transport.abort()
        await eventually(lambda: live.server.state.traffic.in_flight == 0)
        assert opened["opened"] >= 1
        assert opened["opened"] == opened["closed"]


async def test_a_reader_that_stops_reading_is_let_go(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"stall": 0.5}) as live:
        content = os.urandom(24 * 1024 * 1024)
        made = await live.staged(content)
        async with live.raw() as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream's transport reads as well
            writer.write(f"GET {_path(made)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await eventually(lambda: live.server.state.traffic.in_flight == 1)
            await eventually(lambda: live.server.state.traffic.in_flight == 0)


async def test_a_file_that_is_shorter_than_promised_breaks_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(_LARGE)
        store = live.server.state.parts.blobs
        real = store.open

        async def shortened(key: Any) -> OpenBlob:
            blob = await real(key)
            assert blob.file is not None
            os.truncate(f"/proc/self/fd/{blob.file.fileno()}", 1024 * 1024)
            return blob

        monkeypatch.setattr(store, "open", shortened)
        with pytest.raises(aiohttp.ClientPayloadError):
            await _read(live, made)
        assert (await live.call("GET", "/livez")).status == 200


@pytest.mark.parametrize("name", ['q".jar', "back;slash.jar", "ünï.jar", "100%.jar"])
def test_a_file_name_cannot_leave_its_header_field(name: str) -> None:
    value = blob_response._disposition(name)
    assert value.isascii()
    assert value.count('"') == 2
    assert "\n" not in value


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []
    real = blob_response.BlobResponse._read

    async def counted(self: Any, blob: Any, selection: Any) -> bytes:
        chunk = await real(self, blob, selection)
        if chunk:
            counts.append(len(chunk))
        return chunk

    monkeypatch.setattr(blob_response.BlobResponse, "_read", counted)
    return counts


def _count_open(live: Live, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    counts = {"opened": 0, "closed": 0}
    store = live.server.state.parts.blobs
    real = store.open

    async def counted(key: Any) -> OpenBlob:
        blob = await real(key)
        counts["opened"] += 1
        close = blob.close

        async def closed() -> None:
            counts["closed"] += 1
            await close()

        monkeypatch.setattr(blob, "close", closed, raising=False)
        return blob

    monkeypatch.setattr(store, "open", counted)
    return counts
