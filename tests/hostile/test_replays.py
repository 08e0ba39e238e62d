"""Replaced tokens, and requests that are sent again under an Idempotency-Key."""

import asyncio
from pathlib import Path
from typing import Any

from tests.staging_server.live import Live, access_token, eventually, live_server


async def test_a_replaced_token_opens_nothing_after_its_overlap(tmp_path: Path) -> None:
    async with live_server(tmp_path, retention={"token_overlap": 0.2}) as live:
        made = await live.staged()
        root = f"/v1/namespaces/team-a/bundles/{made['id']}"
        renewed = (await live.call("POST", f"{root}/token")).json["token"]

        async def is_void() -> bool:
            answer = await live.call("GET", f"{root}/manifest", token=made["token"])
            return answer.status == 404

        await eventually(is_void)
        assert (await live.call("GET", f"{root}/manifest", token=renewed)).status == 200


# --- idempotency keys


async def _create(live: Live, *, key: str, token: str | None = None, application: str = "a", ns: str = "red") -> Any:
    return await live.call(
        "POST", f"/v1/namespaces/{ns}/bundles", body={"application": application},
        headers={"Idempotency-Key": key}, token=token,
    )  # fmt: skip


async def test_fifty_creates_at_once_with_one_key_make_one_bundle(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        answers = await asyncio.gather(*(_create(live, key="once") for _ in range(50)))
        made = {answer.json["id"] for answer in answers if answer.status == 201}
        refused = {(answer.status, answer.json["code"]) for answer in answers if answer.status != 201}
        assert len(made) == 1
        assert refused <= {(409, "request-in-progress")}
        assert all(answer.json["retryable"] for answer in answers if answer.status == 409)
        assert (await _create(live, key="once")).json["id"] in made
        assert len((await live.call("GET", "/v1/bundles")).json["bundles"]) == 1


async def test_a_key_means_nothing_to_another_caller_or_namespace(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    one = access_token(tokens, verbs=("create",))
    two = access_token(tokens, verbs=("create",))
    async with live_server(tmp_path, auth={"mode": "tokens", "tokens_file": tokens}) as live:
        mine = (await _create(live, key="k", token=one.text)).json["id"]
        assert (await _create(live, key="k", token=two.text)).json["id"] != mine
        assert (await _create(live, key="k", token=two.text, application="b")).status == 422
        assert (await _create(live, key="k", token=one.text, ns="blue")).json["id"] != mine
        assert (await _create(live, key="k", token=one.text)).json["id"] == mine


async def test_a_replay_voids_a_token_that_nobody_used_and_keeps_one_that_somebody_has(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        first = (await _create(live, key="k")).json
        second = (await _create(live, key="k")).json
        path = f"/v1/namespaces/red/bundles/{first['id']}"
        assert (await live.call("GET", path, token=first["token"])).status == 404
        assert (await live.call("GET", path, token=second["token"])).status == 200
        third = (await _create(live, key="k")).json
        for used in (second, third):
            assert (await live.call("GET", path, token=used["token"])).status == 200


async def test_a_replay_does_not_bring_an_ended_bundle_back(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        first = (await _create(live, key="k")).json
        assert (await live.call("DELETE", f"/v1/namespaces/red/bundles/{first['id']}")).status == 204
        answer = await _create(live, key="k")
        assert (answer.status, answer.json["code"]) == (410, "bundle-expired")
        assert (await live.call("GET", "/v1/bundles")).json["bundles"] == []
