"""Request bodies: refused before they are read, never waited for for ever, never the next request's beginning."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from tests.staging_server.live import (
    BYTES,
    access_token,
    bundle_token,
    digest_of,
    eventually,
    live_server,
    new_file,
    read_head,
)

_CREATE = "/v1/namespaces/team-a/bundles"
_SIZE = 50 * 1024 * 1024
_BODY = b"x" * 1024


def _head(method: str, path: str, **fields: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def test_a_wanted_upload_is_told_to_continue(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_BODY))
        async with live.raw() as (reader, writer):
            path = f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"
            writer.write(_head("PUT", path, Expect="100-continue", Content_Length=str(len(_BODY)), **BYTES))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(_BODY)
            assert (await read_head(reader))[0] == 201


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        (f"/v1/namespaces/team-a/blobs/{digest_of(b'?')}", {}, 409),
        (f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}", {"Authorization": "Bearer nonsense"}, 401),
        (f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}", {"Authorization": f"Bearer {bundle_token().text}"}, 403),
        (f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}", {"Content-Encoding": "gzip"}, 415),
        ("/v1/nowhere", {}, 404),
        ("/v1/usage", {}, 405),
    ],
)
async def test_a_refused_upload_is_never_told_to_continue(
    tmp_path: Path, path: str, fields: dict[str, str], status: int
) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_BODY))
        async with live.raw() as (reader, writer):
            writer.write(_head("PUT", path, Expect="100-continue", Content_Length="1024", **{**BYTES, **fields}))
            answer, headers = await read_head(reader)
            assert (answer, headers["Connection"]) == (status, "close")


async def test_an_upload_without_credentials_is_never_told_to_continue(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    access_token(tokens, verbs=("create",))
    async with (
        live_server(tmp_path, auth={"mode": "tokens", "tokens_file": tokens}) as live,
        live.raw() as (
            reader,
            writer,
        ),
    ):
        path = f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"
        writer.write(_head("PUT", path, Expect="100-continue", Content_Length="1024", **BYTES))
        assert (await read_head(reader))[0] == 401


async def test_an_unknown_expectation_is_ignored(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        answer = await live.call("POST", _CREATE, body={"application": "x"}, headers={"Expect": "miracles"})
        assert answer.status == 201


async def test_encoded_bodies_are_not_inflated(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        body = gzip.compress(json.dumps({"application": "x"}).encode())
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = await live.call("POST", _CREATE, data=body, headers=headers)
        assert (answer.status, answer.json["code"]) == (415, "unsupported-encoding")


async def test_bodies_of_another_type_are_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_BODY))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await live.call("POST", _CREATE, data=b"{}", headers=form)).status == 415
        path = f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"
        assert (await live.call("PUT", path, data=_BODY, headers=form)).status == 415


async def test_an_upload_has_to_tell_its_size(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_BODY))
        async with live.raw() as (reader, writer):
            path = f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"
            writer.write(_head("PUT", path, Transfer_Encoding="chunked", **BYTES))
            assert (await read_head(reader))[0] == 411


async def test_a_create_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"create_body_size": 1000}) as live:
        async with live.raw() as (reader, writer):
            writer.write(_head("POST", _CREATE, Content_Type="application/json", Content_Length="1001"))
            assert (await read_head(reader))[0] == 413
        async with live.raw() as (reader, writer):
            writer.write(_head("POST", _CREATE, Content_Type="application/json", Transfer_Encoding="chunked"))
            writer.write(b"400\r\n" + b" " * 0x400 + b"\r\n")
            assert (await read_head(reader))[0] == 413


async def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"file_size": 1000}) as live, live.raw() as (reader, writer):
        path = f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"
        writer.write(_head("PUT", path, Expect="100-continue", Content_Length="1024", **BYTES))
        assert (await read_head(reader))[0] == 413


async def test_bad_json_is_refused_with_the_path_of_the_field(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        answer = await live.call("POST", _CREATE, body={"application": "x", "files": [{"kind": "jar"}]})
        assert (answer.status, answer.json["code"]) == (400, "invalid-request")
        assert "$.files[0]" in answer.json["detail"]


@pytest.mark.parametrize("path", [_CREATE, f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"])
async def test_a_body_that_stalls_is_given_up(tmp_path: Path, path: str) -> None:
    async with live_server(tmp_path, timeouts={"stall": 0.3}) as live:
        await live.create(new_file(_BODY))
        async with live.raw() as (reader, writer):
            method, kind = ("POST", "application/json") if path == _CREATE else ("PUT", "application/octet-stream")
            writer.write(_head(method, path, Content_Type=kind, Content_Length="1024") + b"{")
            status, fields = await read_head(reader)
            assert (status, fields["Connection"]) == (408, "close")
            assert json.loads(await reader.readexactly(int(fields["Content-Length"])))["code"] == "request-timeout"


async def test_a_head_that_stalls_is_given_up(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"headers": 0.3}) as live, live.raw() as (reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: loc")
        assert await reader.read() == b""


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"keep_alive": 0.3}) as live, live.raw() as (reader, writer):
        writer.write(_head("GET", "/livez"))
        assert (await read_head(reader))[0] == 200
        assert (await reader.read()).endswith(b"ok\n")


async def test_a_refused_body_is_not_read_for_long(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live, live.raw() as (reader, writer):
        path = f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"
        writer.write(_head("PUT", path, Content_Length=str(_SIZE), **BYTES) + b"x" * 1000)
        status, fields = await read_head(reader)
        assert (status, fields["Connection"]) == (409, "close")
        # aiohttp alone goes on reading for 10 s.
        async with asyncio.timeout(5):
            assert (await reader.read()).count(b"HTTP/1.1") == 0


async def test_an_unread_body_is_never_taken_for_a_request(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live, live.raw() as (reader, writer):
        smuggled = _head("DELETE", "/v1/namespaces/team-a/bundles/x")
        path = f"/v1/namespaces/team-a/blobs/{digest_of(smuggled)}"
        writer.write(_head("PUT", path, Content_Length=str(len(smuggled)), **BYTES))
        assert (await read_head(reader))[0] == 409
        writer.write(smuggled)
        assert (await reader.read()).count(b"HTTP/1.1") == 0


async def test_an_upload_whose_client_leaves_leaves_nothing(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(_BODY))
        async with live.raw() as (_, writer):
            path = f"/v1/namespaces/team-a/blobs/{digest_of(_BODY)}"
            writer.write(_head("PUT", path, Content_Length="1024", **BYTES) + _BODY[:100])
            await eventually(lambda: live.server.state.traffic.in_flight == 1)
            writer.transport.abort()
        assert (await live.put(_BODY)).status == 201
