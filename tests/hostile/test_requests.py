"""Every hostile request is refused with its code, and leaves nothing behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from staging_protocol.errors import ERRORS
from tests.hostile import crafted_batches, crafted_bodies, crafted_framing, crafted_heads
from tests.hostile.crafted import HostileRequest
from tests.hostile.remains import holdings
from tests.staging_server.live import Live, access_token, digest_of, eventually, live_server

_LARGE = 100_000
"""Bytes of a request that a connection does not swallow at once."""

_TABLES = (
    crafted_framing.sizes, crafted_framing.chunks, crafted_framing.heads,
    crafted_heads.targets, crafted_heads.queries, crafted_heads.identities, crafted_heads.fields, crafted_heads.uploads,
    crafted_batches.lines, crafted_batches.sizes, crafted_batches.unwanted,
    crafted_bodies.json_bodies, crafted_bodies.names, crafted_bodies.numbers, crafted_bodies.remote_entries,
)  # fmt: skip
_CASES = tuple(case for table in _TABLES for case in table())
_RIGHTS = ("create", "get", "list", "delete", "pin")


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A server with one bundle, and what a request may fill in."""

    live: Live
    values: dict[bytes, bytes]

    def fill(self, data: bytes) -> bytes:
        """Return `data` with token, bundle and digest in their places."""
        for name, value in self.values.items():
            data = data.replace(name, value)
        return data


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Victim]:
    folder = tmp_path_factory.mktemp("victim")
    tokens = folder / "tokens.json"
    token = access_token(tokens, verbs=_RIGHTS, namespaces=("*",))
    async with live_server(folder, token=token.text, auth={"mode": "tokens", "tokens_file": tokens}) as live:
        made = await live.staged(b"content")
        values = {b"{token}": token.text, b"{bundle}": made["id"], b"{digest}": digest_of(b"content")}
        yield Victim(live=live, values={name: value.encode() for name, value in values.items()})


def test_no_case_has_the_name_of_another_one() -> None:
    assert len({case.name for case in _CASES}) == len(_CASES) > 200
    assert all(case.code in ERRORS for case in _CASES)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
async def test_a_hostile_request_is_refused_and_leaves_nothing(victim: Victim, case: HostileRequest) -> None:
    live = victim.live
    before = await holdings(live)
    answer = await _answer(live, victim.fill(case.data))
    assert answer or len(case.data) > _LARGE
    if answer:
        _check(answer, case)
        assert victim.values[b"{token}"] not in answer

    async def nothing_is_left() -> bool:
        return await holdings(live) == before

    await eventually(nothing_is_left)
    assert (await live.call("GET", "/livez")).status == 200


def _check(answer: bytes, case: HostileRequest) -> None:
    """Look whether this is one whole problem, the right one, and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert head.split(b" ")[1] == str(case.status).encode(), answer
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields.get(b"connection") == b"close" or not head.startswith(b"HTTP/1.1")
    problem = json.loads(body)  # one answer, and nothing after it
    assert (problem["code"], problem["status"]) == (case.code, case.status)
    assert problem["request_id"].encode() == fields[b"x-request-id"]
    assert b"Traceback" not in answer


async def _answer(live: Live, data: bytes) -> bytes:
    """Return everything that the server says until it closes the connection."""
    async with live.raw() as (reader, writer), asyncio.timeout(20):
        sending = asyncio.create_task(_send(writer, data))
        answer = b""
        try:
            while more := await reader.read(65536):
                answer += more
        except ConnectionResetError:
            # Closed while we were still sending: that can cost the answer (RFC 9112, section 9.6).
            assert len(data) > _LARGE
        finally:
            await sending
        return answer


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send as much as the server takes: it may close while we are still at it."""
    try:
        writer.write(data)
        await writer.drain()
    except ConnectionError:
        return
