"""The hostile requests that reach the database, with PostgreSQL behind: it refuses bytes that SQLite takes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from staging_server.access_tokens import Verb
from tests.conftest import missing
from tests.hostile import crafted_batches, crafted_bodies, crafted_heads
from tests.staging_server import postgresql
from tests.staging_server.live import Live, access_token, live_server

pytestmark = pytest.mark.services


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    programs = postgresql.find_programs()
    if programs is None:
        missing("PostgreSQL's server is not installed (Debian: postgresql)")
        return
    tokens = tmp_path / "tokens.json"
    rights = tuple(verb for verb in Verb if verb is not Verb.OPERATE)
    token = access_token(tokens, verbs=rights)
    with postgresql.running(programs) as url:
        storage = {"database_url": url.render_as_string(hide_password=False)}
        auth = {"mode": "tokens", "tokens_file": tokens}
        async with live_server(tmp_path, token=token.text, auth=auth, storage=storage) as live:
            yield live


async def test_hostile_requests_are_refused_with_postgresql_too(live: Live) -> None:
    made = await live.staged(b"content")
    tables = (
        crafted_heads.targets, crafted_heads.queries, crafted_heads.fields, crafted_heads.uploads,
        crafted_batches.lines, crafted_batches.sizes, crafted_batches.unwanted,
        crafted_bodies.json_bodies, crafted_bodies.numbers, crafted_bodies.names, crafted_bodies.remote_entries,
    )  # fmt: skip
    wrong = []
    for case in (case for table in tables for case in table()):
        data = case.data.replace(b"{token}", str(live.token).encode()).replace(b"{bundle}", made["id"].encode())
        async with live.raw() as (reader, writer), asyncio.timeout(20):
            writer.write(data)
            status = int((await reader.read()).split(b" ", 2)[1])
        if status != case.status:
            wrong.append((case.name, status))
    assert not wrong
    assert "internal-error" not in live.logs()
    assert [one["id"] for one in (await live.call("GET", "/v1/namespaces/team-a/bundles")).json["bundles"]] == [
        made["id"]
    ]
