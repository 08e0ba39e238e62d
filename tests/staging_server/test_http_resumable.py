"""Uploads in parts over HTTP: one section for each method, then connections that break."""

import asyncio
import os
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.staging_server.live import Live, access_token, eventually, live_server, new_file, read_head
from tests.staging_server.parts_live import (
    UPLOADS,
    append,
    begin,
    offset_of,
    patch_fields,
    patch_head,
    post_fields,
)

WHOLE = b"the whole content"
LARGE = os.urandom(3_000_000)


async def sealed_content(live: Live, made: dict[str, Any]) -> bytes:
    bundle = f"/v1/namespaces/team-a/bundles/{made['id']}"
    assert (await live.call("POST", f"{bundle}/seal")).status == 200
    return (await live.call("GET", f"{bundle}/files/jar/a.jar", token=made["token"])).body


async def stored_size(folder: Path) -> int:
    """How many bytes of uploads are in files."""

    def look() -> int:
        return sum(path.stat().st_size for path in (folder / "data" / "uploads").iterdir())

    return await asyncio.to_thread(look)


# --- POST


async def test_post_answers_where_the_upload_is_and_what_is_allowed(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"file_size": 1000}, retention={"upload_keep": 77}) as live:
        await live.create(new_file(WHOLE))
        answer = await live.call("POST", UPLOADS, data=b"", headers=post_fields(WHOLE))
    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Location"].startswith(f"{UPLOADS}/")
    assert answer.headers["Upload-Offset"] == "0"
    assert answer.headers["Upload-Complete"] == "?0"
    assert answer.headers["Upload-Limit"] == "max-size=1000, max-append-size=1000, max-age=77"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_post_may_bring_the_first_part_or_all_of_it(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(WHOLE))
        first = await live.call("POST", UPLOADS, data=WHOLE[:5], headers=post_fields(WHOLE))
        assert (first.status, first.headers["Upload-Offset"], first.headers["Upload-Complete"]) == (201, "5", "?0")
        whole = await live.call("POST", UPLOADS, data=WHOLE, headers=post_fields(WHOLE, complete="?1"))
        assert (whole.status, whole.headers["Upload-Offset"], whole.headers["Upload-Complete"]) == (201, "17", "?1")
        assert await sealed_content(live, made) == WHOLE


async def test_post_of_a_blob_that_is_held_is_complete_at_once(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.staged(WHOLE)
        answer = await live.call("POST", UPLOADS, data=b"", headers=post_fields(WHOLE))
    assert (answer.status, answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == (204, "17", "?1")
    assert "Location" not in answer.headers


async def test_post_with_wrong_bytes_leaves_nothing(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        answer = await live.call("POST", UPLOADS, data=WHOLE[::-1], headers=post_fields(WHOLE, complete="?1"))
        assert (answer.status, answer.json["code"]) == (422, "digest-mismatch")
        assert await live.server.state.parts.resumable.usage() == (0, 0)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"Content-Type": "application/octet-stream"}, 415, "unsupported-encoding"),
        ({"Content-Type": None}, 415, "unsupported-encoding"),
        ({"Content-Encoding": "gzip"}, 415, "unsupported-encoding"),
        ({"Upload-Length": None}, 400, "invalid-request"),
        ({"Upload-Length": "-1"}, 400, "invalid-request"),
        ({"Upload-Length": "seventeen"}, 400, "invalid-request"),
        ({"Upload-Length": "9" * 16}, 400, "invalid-request"),
        ({"Upload-Length": "4"}, 409, "blob-not-wanted"),
        ({"Upload-Length": "1001"}, 413, "too-large"),
        ({"Upload-Complete": None}, 400, "invalid-request"),
        ({"Upload-Complete": "1"}, 400, "invalid-request"),
        ({"Upload-Complete": "?1"}, 400, "invalid-request"),
        ({"Repr-Digest": None}, 400, "invalid-request"),
        ({"Repr-Digest": "sha-512=:AAAA:"}, 400, "invalid-request"),
        ({"Repr-Digest": "sha-256=:AAAA:"}, 400, "invalid-request"),
        ({"Repr-Digest": f"sha-256=:{'A' * 43}=:"}, 409, "blob-not-wanted"),
    ],
)
async def test_post_is_refused_with_a_reason(
    tmp_path: Path, change: dict[str, str | None], status: int, code: str
) -> None:
    fields = {name: value for name, value in {**post_fields(WHOLE), **change}.items() if value is not None}
    async with live_server(tmp_path, limits={"file_size": 1000}) as live:
        await live.create(new_file(WHOLE))
        answer = await live.call("POST", UPLOADS, data=b"", headers=fields)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert await live.server.state.parts.resumable.usage() == (0, 0)


async def test_post_without_a_size_of_its_body_is_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live, live.raw() as (reader, writer):
        fields = "".join(f"{name}: {value}\r\n" for name, value in post_fields(WHOLE).items())
        writer.write(f"POST {UPLOADS} HTTP/1.1\r\nHost: {live.host}\r\n{fields}\r\n".encode())
        assert (await read_head(reader))[0] == 411


async def test_post_beyond_the_limit_of_open_uploads_is_told_to_come_back(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"open_uploads_per_namespace": 1}) as live:
        await live.create(new_file(WHOLE), new_file(b"other", name="b.jar"))
        await begin(live, WHOLE)
        answer = await live.call("POST", UPLOADS, data=b"", headers=post_fields(b"other"))
    assert (answer.status, answer.json["code"]) == (429, "too-many-requests")
    assert int(answer.headers["Retry-After"]) > 0


# --- HEAD


async def test_head_tells_the_offset(tmp_path: Path) -> None:
    async with live_server(tmp_path, limits={"file_size": 1000}, retention={"upload_keep": 77}) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        await append(live, path, WHOLE[:5], offset=0)
        answer = await live.call("HEAD", path)
    assert (answer.status, answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == (204, "5", "?0")
    assert answer.headers["Upload-Length"] == "17"
    assert answer.headers["Upload-Limit"] == "max-size=1000, max-append-size=1000, max-age=77"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("field", ["Upload-Offset", "Upload-Complete", "Upload-Length"])
async def test_head_that_states_what_it_asks_for_is_refused(tmp_path: Path, field: str) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        assert (await live.call("HEAD", path, headers={field: "0"})).status == 400


async def test_head_after_the_last_part_whose_answer_was_lost_says_that_it_is_complete(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        async with live.raw() as (_, writer):
            writer.write(patch_head(live, path, offset=0, size=len(WHOLE), complete=True) + WHOLE)

            async def is_complete() -> bool:
                return await live.server.state.parts.resumable.usage() == (0, 0)

            await eventually(is_complete)
        answer = await live.call("HEAD", path)
    assert (answer.status, answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == (204, "17", "?1")


# --- PATCH


async def test_patch_answers_204_until_the_last_part_and_then_201(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        first = await append(live, path, WHOLE[:5], offset=0)
        assert (first.status, first.headers["Upload-Offset"], first.headers["Upload-Complete"]) == (204, "5", "?0")
        last = await append(live, path, WHOLE[5:], offset=5, complete=True)
        assert (last.status, last.headers["Upload-Offset"], last.headers["Upload-Complete"]) == (201, "17", "?1")
        assert await sealed_content(live, made) == WHOLE


async def test_patch_at_another_offset_is_told_the_right_one(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        await append(live, path, WHOLE[:5], offset=0)
        answer = await append(live, path, WHOLE, offset=0, complete=True)
    assert (answer.status, answer.headers["Upload-Offset"]) == (409, "5")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["type"] == "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
    assert (answer.json["code"], answer.json["expected-offset"]) == ("upload-offset-mismatch", 5)
    assert not answer.json["retryable"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"Content-Type": "application/octet-stream"}, 415, "unsupported-encoding"),
        ({"Content-Encoding": "gzip"}, 415, "unsupported-encoding"),
        ({"Upload-Offset": None}, 400, "invalid-request"),
        ({"Upload-Offset": "-5"}, 400, "invalid-request"),
        ({"Upload-Offset": "5.0"}, 400, "invalid-request"),
        ({"Upload-Offset": "6"}, 409, "upload-offset-mismatch"),
        ({"Upload-Offset": "15"}, 400, "invalid-request"),
        ({"Upload-Complete": None}, 400, "invalid-request"),
        ({"Upload-Complete": "?2"}, 400, "invalid-request"),
        ({"Upload-Complete": "?1"}, 400, "invalid-request"),
        ({"Upload-Length": "6"}, 400, "invalid-request"),
        ({"Upload-Length": "x"}, 400, "invalid-request"),
    ],
)
async def test_patch_is_refused_before_its_body_is_asked_for(
    tmp_path: Path, change: dict[str, str | None], status: int, code: str
) -> None:
    fields = {name: value for name, value in {**patch_fields(5), **change}.items() if value is not None}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        await append(live, path, WHOLE[:5], offset=0)
        async with live.raw() as (reader, writer):
            writer.write(
                f"PATCH {path} HTTP/1.1\r\nHost: {live.host}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
                f"{head}\r\n".encode()
            )
            answered, headers = await read_head(reader)
            body = await reader.readexactly(int(headers["Content-Length"]))
        assert (answered, code.encode() in body, headers["Connection"]) == (status, True, "close")
        assert await offset_of(live, path) == 5


async def test_patch_is_asked_for_its_body_when_all_is_well(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        async with live.raw() as (reader, writer):
            head = patch_head(live, path, offset=0, size=5, more="Expect: 100-continue\r\n")
            writer.write(head)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(WHOLE[:5])
            assert (await read_head(reader))[0] == 204


async def test_patch_without_a_size_of_its_body_is_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        async with live.raw() as (reader, writer):
            head = patch_head(live, path, offset=0, size=5)
            writer.write(head.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
            assert (await read_head(reader))[0] == 411


async def test_patch_that_nobody_wants_any_more_is_refused_and_the_upload_stays(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        await append(live, path, WHOLE[:5], offset=0)
        assert (await live.call("DELETE", f"/v1/namespaces/team-a/bundles/{made['id']}")).status == 204
        refused = await append(live, path, WHOLE[5:], offset=5, complete=True)
        assert (refused.status, refused.json["code"]) == (409, "blob-not-wanted")
        assert await offset_of(live, path) == 5


async def test_patch_with_the_last_wrong_byte_ends_the_upload(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        wrong = await append(live, path, WHOLE[:-1] + b"?", offset=0, complete=True)
        assert (wrong.status, wrong.json["code"]) == (422, "digest-mismatch")
        assert (await live.call("HEAD", path)).status == 404
        again = await begin(live, WHOLE)
        assert (await append(live, again, WHOLE, offset=0, complete=True)).status == 201


async def test_patch_of_a_blob_that_came_from_elsewhere_is_complete(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        await append(live, path, WHOLE[:5], offset=0)
        assert (await live.put(WHOLE)).status == 201
        answer = await append(live, path, WHOLE[5:], offset=5)
        assert (answer.status, answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == (201, "17", "?1")


async def test_patch_and_post_wait_for_the_next_server_when_this_one_drains(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        live.server.state.traffic.draining = True
        for answer in (
            await append(live, path, WHOLE, offset=0, complete=True),
            await live.call("POST", UPLOADS, data=b"", headers=post_fields(WHOLE)),
        ):
            assert (answer.status, answer.json["retryable"]) == (503, True)
        assert await offset_of(live, path) == 0


# --- DELETE, and who may


async def test_delete_ends_the_upload(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        await append(live, path, WHOLE[:5], offset=0)
        assert [(await live.call("DELETE", path)).status for _ in range(2)] == [204, 404]
        assert (await live.call("HEAD", path)).status == 404
        assert await stored_size(tmp_path) == 0


async def test_only_its_creator_and_operators_know_of_an_upload(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    alice, bob = (access_token(tokens, verbs=("create",)).text for _ in range(2))
    operator = access_token(tokens, verbs=("operate",)).text
    auth = {"mode": "tokens", "tokens_file": tokens}
    async with live_server(tmp_path, auth=auth, token=alice) as live:
        await live.create(new_file(WHOLE))
        path = await begin(live, WHOLE)
        elsewhere = path.replace("team-a", "team-b")
        for where, token in ((path, bob), (elsewhere, alice), (f"{UPLOADS}/{'a' * 26}", alice), (f"{UPLOADS}/x", bob)):
            answers = [
                await live.call("HEAD", where, token=token),
                await append(live, where, WHOLE, offset=0, token=token),
                await live.call("DELETE", where, token=token),
            ]
            assert [answer.status for answer in answers] == [404, 404, 404], where
        assert (await append(live, path, WHOLE, offset=0, token=operator)).status == 403
        assert await offset_of(live, path) == 0
        assert (await live.call("DELETE", path, token=operator)).status == 204


# --- connections that break


async def test_head_cuts_off_who_is_sending_and_keeps_what_came(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(LARGE))
        path = await begin(live, LARGE)
        async with live.raw() as (reader, writer):
            writer.write(patch_head(live, path, offset=0, size=len(LARGE), complete=True) + LARGE[:2_000_000])

            async def has_come() -> bool:
                return await stored_size(tmp_path) == 2_000_000

            await eventually(has_come)
            assert await offset_of(live, path) == 2_000_000
            status, fields = await read_head(reader)
            body = await reader.readexactly(int(fields["Content-Length"]))
            assert (status, b"upload-superseded" in body, fields["Connection"]) == (409, True, "close")
        last = await append(live, path, LARGE[2_000_000:], offset=2_000_000, complete=True)
        assert last.status == 201
        assert await sealed_content(live, made) == LARGE


async def test_a_client_that_stalls_is_given_up_and_what_came_is_kept(tmp_path: Path) -> None:
    async with live_server(tmp_path, timeouts={"stall": 0.5}) as live:
        await live.create(new_file(LARGE))
        path = await begin(live, LARGE)
        async with live.raw() as (reader, writer):
            writer.write(patch_head(live, path, offset=0, size=len(LARGE), complete=True) + LARGE[:1_234_567])
            assert (await read_head(reader))[0] == 408
        assert await offset_of(live, path) == 1_234_567


async def test_a_stream_that_is_cut_anywhere_never_loses_what_was_acknowledged(tmp_path: Path) -> None:
    """Sends until it is cut at some byte, asks for the offset on a new connection, and goes on from there."""
    chance = random.Random(7)  # noqa: S311 - the same cuts each time
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(LARGE))
        path = await begin(live, LARGE)
        acknowledged = 0
        for _ in range(25):
            sent = await _send_some(live, path, offset=acknowledged, chance=chance)
            offset = await offset_of(live, path)
            assert acknowledged <= offset <= acknowledged + sent
            acknowledged = offset
        assert 0 < acknowledged < len(LARGE)
        rest = await append(live, path, LARGE[acknowledged:], offset=acknowledged, complete=True)
        assert rest.status == 201
        assert await sealed_content(live, made) == LARGE


async def test_a_restart_in_the_middle_of_a_part_loses_nothing_that_came(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.create(new_file(LARGE))
        path = await begin(live, LARGE)
        assert (await append(live, path, LARGE[:1_000_000], offset=0)).status == 204
        reader, writer = await asyncio.open_connection(live.host, live.port)
        writer.write(patch_head(live, path, offset=1_000_000, size=2_000_000, complete=True))
        writer.write(LARGE[1_000_000:2_000_000])

        async def has_come() -> bool:
            return await stored_size(tmp_path) == 2_000_000

        await eventually(has_come)
    writer.close()
    assert await reader.read() == b""
    async with live_server(tmp_path) as live:
        assert await offset_of(live, path) == 2_000_000
        assert (await append(live, path, LARGE[2_000_000:], offset=2_000_000, complete=True)).status == 201
        assert await sealed_content(live, made) == LARGE


async def _send_some(live: Live, path: str, *, offset: int, chance: random.Random) -> int:
    """Begin to send the rest, stop somewhere, and break off in one of the ways in which connections break."""
    sent = chance.choice((0, 1, 100, 70_000, 300_000))
    sent = min(chance.randint(0, sent), (len(LARGE) - offset) // 2)
    async with live.raw() as (reader, writer):
        head = patch_head(live, path, offset=offset, size=len(LARGE) - offset, complete=True)
        if chance.random() < 0.2:
            writer.write(head[: chance.randint(0, len(head) - 1)])
            sent = 0
        else:
            writer.write(head + LARGE[offset : offset + sent])
        await writer.drain()
        match chance.choice(("reset", "half close", "close", "leave open")):
            case "reset":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                writer.transport.abort()
            case "half close":
                writer.write_eof()
                await reader.read()
            case "leave open":
                # Whoever asks for the offset cuts it off.
                await offset_of(live, path)
    return sent
