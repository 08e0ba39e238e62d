"""Many small blobs in one request: all of them or none, whatever happens, on real sockets."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from staging_protocol.batches import CONTENT_TYPE
from staging_server.metadata.tables import audit
from staging_server.uploads import request_body
from tests.hostile.remains import holdings
from tests.staging_server.live import (
    Answer,
    Live,
    access_token,
    digest_of,
    eventually,
    live_server,
    new_file,
    read_head,
)

_CONTENTS = [os.urandom(size) for size in (1, 100, 70_000, 70_001, 300_000)] + [b""]
_WHOLE = sum(map(len, _CONTENTS))
_GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def line_of(contents: Sequence[bytes]) -> bytes:
    blobs = [{"digest": digest_of(content), "size": len(content)} for content in contents]
    return json.dumps({"blobs": blobs}).encode() + b"\n"


def body_of(contents: Sequence[bytes]) -> bytes:
    return line_of(contents) + b"".join(contents)


def head_of(body: bytes, *, more: str = "", namespace: str = "team-a") -> bytes:
    return (
        f"POST /v1/namespaces/{namespace}/blobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n{more}\r\n"
    ).encode()


async def created(live: Live, contents: Sequence[bytes], *, namespace: str = "team-a") -> Any:
    files = [new_file(content, name=f"{number}.jar") for number, content in enumerate(contents)]
    return await live.create(*files, namespace=namespace)


async def sent(live: Live, body: bytes, *, namespace: str = "team-a", **more: Any) -> Answer:
    headers = {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body))}
    return await live.call("POST", f"/v1/namespaces/{namespace}/blobs", data=body, headers=headers, **more)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the server has of blobs: their files and rows, the rows of uploads under way, and reserved bytes."""

    files: frozenset[str]
    blobs: int
    uploads: int
    reserved: int


async def kept(live: Live) -> Kept:
    held = await holdings(live)
    rows = held.rows
    return Kept(files=held.files, blobs=rows["tenant_blobs"], uploads=rows["uploads"], reserved=held.reserved)


async def wanted(live: Live, contents: Sequence[bytes]) -> list[str]:
    """Return what a create would say, and leave no bundle."""
    made = await created(live, contents)
    await live.call("DELETE", f"/v1/namespaces/team-a/bundles/{made['id']}")
    states: list[str] = made["files"]
    return states


@pytest.fixture(params=["straight", "by chunks"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "_WORTH", 0 if request.param == "straight" else 2**60)


pytestmark = pytest.mark.usefixtures("_way")


async def test_a_bundle_of_small_files_needs_one_request_for_their_bytes(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await created(live, _CONTENTS)
        assert (await sent(live, body_of(_CONTENTS))).status == 201
        bundle = f"/v1/namespaces/team-a/bundles/{made['id']}"
        assert (await live.call("POST", f"{bundle}/seal")).status == 200
        for number, content in enumerate(_CONTENTS):
            answer = await live.call("GET", f"{bundle}/files/jar/{number}.jar", token=made["token"])
            assert (answer.status, answer.body) == (200, content)
        usage = (await live.call("GET", "/v1/usage")).json["namespaces"][0]
        assert (usage["blobs"], usage["blob_size"], usage["reserved"]) == (len(_CONTENTS), _WHOLE, 0)


async def test_what_the_namespace_has_already_is_not_taken_again(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await created(live, _CONTENTS)
        assert (await sent(live, body_of(_CONTENTS[:3]))).status == 201
        assert (await sent(live, body_of(_CONTENTS[:3]))).status == 204
        before = await kept(live)
        assert (await sent(live, body_of(_CONTENTS))).status == 201
        after = await kept(live)
        assert len(after.files - before.files) == 3
        assert (await wanted(live, _CONTENTS)) == ["held"] * len(_CONTENTS)


async def test_what_another_namespace_has_is_verified_and_stored_once(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        for namespace in ("team-a", "team-b"):
            await created(live, _CONTENTS, namespace=namespace)
        await sent(live, body_of(_CONTENTS))
        before = await kept(live)
        assert (await sent(live, body_of(_CONTENTS), namespace="team-b")).status == 201
        after = await kept(live)
        assert after.files == before.files
        assert after.uploads == 0


@pytest.mark.parametrize("wrong", range(5))
async def test_one_wrong_blob_refuses_the_batch_and_is_named(tmp_path: Path, wrong: int) -> None:
    changed = [content if number != wrong else content[:-1] + b"?" for number, content in enumerate(_CONTENTS)]
    async with live_server(tmp_path) as live:
        await created(live, _CONTENTS)
        before = await kept(live)
        answer = await sent(live, line_of(_CONTENTS) + b"".join(changed))
        assert (answer.status, answer.json["code"]) == (422, "digest-mismatch")
        assert digest_of(_CONTENTS[wrong]) in answer.json["detail"]
        assert await kept(live) == before
        assert (await wanted(live, _CONTENTS)) == ["wanted"] * len(_CONTENTS)
        assert (await sent(live, body_of(_CONTENTS))).status == 201


@pytest.mark.parametrize("namespace", ["team-a", "team-b"])
async def test_a_blob_that_no_bundle_of_the_namespace_wants_refuses_the_batch(tmp_path: Path, namespace: str) -> None:
    contents = _CONTENTS if namespace == "team-b" else [*_CONTENTS, b"another"]
    async with live_server(tmp_path) as live:
        await created(live, _CONTENTS)
        await live.create(namespace="team-b")
        before = await kept(live)
        answer = await sent(live, body_of(contents), namespace=namespace)
        assert (answer.status, answer.json["code"]) == (409, "blob-not-wanted")
        assert await kept(live) == before


async def test_who_may_not_create_is_refused_before_the_body_is_asked_for(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    token = access_token(tokens, verbs=("get", "list"))
    async with (
        live_server(tmp_path, auth={"mode": "tokens", "tokens_file": tokens}) as live,
        live.raw() as (reader, to),
    ):
        to.write(head_of(body_of(_CONTENTS), more=f"Expect: 100-continue\r\nAuthorization: Bearer {token.text}\r\n"))
        status, fields = await read_head(reader)
        assert (status, fields["Connection"]) == (403, "close")


async def test_the_body_is_asked_for_once_and_the_next_request_is_found_behind_it(tmp_path: Path) -> None:
    body = body_of(_CONTENTS)
    async with live_server(tmp_path) as live:
        await created(live, _CONTENTS)
        async with live.raw() as (reader, writer):
            writer.write(head_of(body, more="Expect: 100-continue\r\n"))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            for piece in (body[:10], body[10:400], body[400:1000], body[1000:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(_GET)
            assert [(await read_head(reader))[0] for _ in range(2)] == [201, 200]


@pytest.mark.parametrize("at", [10, 500, 5000, 200_000, -1])
async def test_a_client_that_breaks_off_leaves_nothing(tmp_path: Path, at: int) -> None:
    body = body_of(_CONTENTS)
    async with live_server(tmp_path) as live:
        await created(live, _CONTENTS)
        before = await kept(live)
        async with live.raw() as (_, writer):
            writer.write(head_of(body) + body[:at])
            await writer.drain()
            await eventually(lambda: live.server.state.traffic.in_flight == 1)
            writer.transport.abort()

        async def nothing_is_left() -> bool:
            return not live.server.state.traffic.in_flight and await kept(live) == before

        await eventually(nothing_is_left)
        assert (await sent(live, body)).status == 201


async def test_a_body_that_stalls_is_given_up(tmp_path: Path) -> None:
    body = body_of(_CONTENTS)
    async with live_server(tmp_path, timeouts={"stall": 0.7}) as live:
        await created(live, _CONTENTS)
        before = await kept(live)
        for at in (20, 5000):
            async with live.raw() as (reader, writer):
                writer.write(head_of(body) + body[:at])
                assert (await read_head(reader))[0] == 408
        await eventually(lambda: _is(live, before))


async def _is(live: Live, before: object) -> bool:
    return await kept(live) == before


@pytest.mark.parametrize("call", ["write", "fsync"])
async def test_a_disk_that_is_full_refuses_the_batch_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    async with live_server(tmp_path) as live:
        await created(live, _CONTENTS)
        before = await kept(live)
        with monkeypatch.context() as patch:
            patch.setattr(f"staging_server.blobs.local_batch.os.{call}", full)
            async with live.raw() as (reader, writer):
                writer.write(head_of(body_of(_CONTENTS)) + body_of(_CONTENTS))
                status, _ = await read_head(reader)
                assert status == 507
        await eventually(lambda: _is(live, before))
        assert (await sent(live, body_of(_CONTENTS))).status == 201


async def test_above_the_high_water_mark_nothing_is_asked_for(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"disk_high_water": 0.000001}) as live:
        await created(live, _CONTENTS)
        async with live.raw() as (reader, writer):
            writer.write(head_of(body_of(_CONTENTS), more="Expect: 100-continue\r\n"))
            assert (await read_head(reader))[0] == 507


async def test_a_batch_waits_for_a_place_as_a_single_upload_does(tmp_path: Path) -> None:
    body = body_of(_CONTENTS)
    async with live_server(tmp_path, limits={"uploads_in_flight": 1}) as live:
        await created(live, _CONTENTS)
        uploads = live.server.state.parts.uploads
        async with live.raw() as (first, to_first), live.raw() as (second, to_second):
            to_first.write(head_of(body) + body[:5000])
            await eventually(lambda: uploads.in_flight == 1)
            to_second.write(head_of(body, more="Expect: 100-continue\r\n"))
            await eventually(lambda: uploads.waiting == 1)
            to_first.write(body[5000:])
            assert (await read_head(first))[0] == 201
            assert await second.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            to_second.write(line_of(_CONTENTS))
            assert (await read_head(second))[0] == 204


async def test_the_same_bytes_at_once_in_batches_and_alone_are_stored_once(tmp_path: Path) -> None:
    contents = [os.urandom(1000 + number) for number in range(40)]
    async with live_server(tmp_path) as live:
        made = await created(live, contents)
        answers = await asyncio.gather(
            *(sent(live, body_of(contents)) for _ in range(3)),
            sent(live, body_of(contents[::-1])),
            *(live.put(content) for content in contents),
        )
        assert {answer.status for answer in answers} <= {201, 204}
        assert (await live.call("POST", f"/v1/namespaces/team-a/bundles/{made['id']}/seal")).status == 200
        after = await kept(live)
        assert (len(after.files), after.uploads, after.reserved) == (len(contents), 0, 0)
        usage = (await live.call("GET", "/v1/usage")).json["namespaces"][0]
        assert (usage["blobs"], usage["blob_size"]) == (len(contents), sum(map(len, contents)))


async def test_a_bundle_that_ends_while_its_bytes_come_takes_none_of_them(tmp_path: Path) -> None:
    body = body_of(_CONTENTS)
    async with live_server(tmp_path) as live:
        made = await created(live, _CONTENTS)
        async with live.raw() as (reader, writer):
            writer.write(head_of(body) + body[:-1])
            await eventually(lambda: _has_begun(live))
            assert (await live.call("DELETE", f"/v1/namespaces/team-a/bundles/{made['id']}")).status == 204
            writer.write(body[-1:])
            assert (await read_head(reader))[0] == 409
        after = await kept(live)
        assert (after.files, after.uploads) == (frozenset(), 0)


async def _has_begun(live: Live) -> bool:
    return (await kept(live)).uploads > 0


async def test_the_limits_are_announced(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"file_size": 1000}) as live:
        limits = (await live.call("GET", "/v1/info")).json["limits"]["batch"]
        assert limits == {"blobs": 128, "blob_size": 1000, "size": 8 * 1024 * 1024}


async def test_each_blob_has_its_row_of_the_audit_table(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await created(live, _CONTENTS)
        before = await _audited(live)
        await sent(live, body_of(_CONTENTS))
        assert await _audited(live) - before == len(_CONTENTS)


async def _audited(live: Live) -> int:
    def count(connection: Connection, action: str) -> int:
        stored = select(func.count()).select_from(audit).where(audit.c.action == action)
        return int(connection.execute(stored).scalar_one())

    return await live.server.state.parts.metadata.read(count, "blob.store")
