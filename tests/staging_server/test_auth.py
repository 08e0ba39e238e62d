"""Who may do what: every route as every wrong identity, and what refusals tell."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from staging_server.access_tokens import TokensFile, Verb, write_tokens
from staging_server.auth.anonymous import Anonymous, is_loopback
from staging_server.route import Route
from staging_server.routes import routes_table
from tests.staging_server.live import Answer, Live, access_token, bundle_token, digest_of, eventually, live_server

_ALL = tuple(Verb)
_GUARDED = tuple(route for route in routes_table() if not route.rule.anyone)


def _tokens_auth(tokens: Path) -> dict[str, Any]:
    return {"mode": "tokens", "tokens_file": tokens, "reload_every": 0.05}


def _path(route: Route, bundle: str, *, namespace: str = "team-a") -> str:
    return route.path.format(
        namespace=namespace, bundle=bundle, upload="u" * 26, digest=digest_of(b"content"), kind="jar", name="a.jar"
    )  # fmt: skip


async def _ask(live: Live, route: Route, bundle: str, headers: Mapping[str, str]) -> Answer:
    return await live.call(route.method, _path(route, bundle), headers=headers)


def _is_problem(answer: Answer, route: Route, status: int, code: str) -> bool:
    if answer.status != status or answer.headers["Content-Type"] != "application/problem+json":
        return False
    return route.method == "HEAD" or answer.json["code"] == code


async def test_every_route_refuses_every_wrong_identity(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    everything = access_token(tokens, verbs=_ALL)
    elsewhere = access_token(tokens, verbs=_ALL, namespaces=("team-b",))
    expired = access_token(tokens, verbs=_ALL, expires=datetime.now(UTC) - timedelta(seconds=1))
    revoked = bundle_token().text.replace("sst_", "ssa_")
    async with live_server(tmp_path, token=everything.text, auth=_tokens_auth(tokens)) as live:
        made, other = await live.staged(), await live.staged(name="b.jar")
        for route in _GUARDED:
            for name, credentials, status, code in (
                ("none", {"Authorization": ""}, 401, "unauthenticated"),
                ("mangled", {"Authorization": f"Bearer {everything.text[:-1]}"}, 401, "unauthenticated"),
                ("expired", {"Authorization": f"Bearer {expired.text}"}, 401, "unauthenticated"),
                ("unknown", {"Authorization": f"Bearer {revoked}"}, 401, "unauthenticated"),
                ("other scheme", {"Authorization": "Digest x"}, 401, "unauthenticated"),
                ("other namespace", {"Authorization": f"Bearer {elsewhere.text}"}, 403, "denied"),
            ):
                if name == "other namespace" and not route.path.startswith("/v1/namespaces"):
                    continue
                answer = await _ask(live, route, made["id"], credentials)
                assert _is_problem(answer, route, status, code), (route.name, name, answer)
                assert ("WWW-Authenticate" in answer.headers) is (status == 401), (route.name, name)
            foreign = await _ask(live, route, made["id"], {"Authorization": f"Bearer {other['token']}"})
            wanted = (404, "not-found") if route.rule.bundle_token else (403, "denied")
            assert _is_problem(foreign, route, *wanted), (route.name, foreign)


def _wrong_verbs(route: Route) -> Iterator[Verb]:
    for verb in Verb:
        if verb not in route.rule.verbs and verb not in route.rule.own:
            yield verb


async def test_every_route_refuses_every_wrong_verb_and_takes_the_right_one(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    by_verb = {verb: access_token(tokens, verbs=(verb,), namespaces=("team-a", "*")) for verb in Verb}
    everything = access_token(tokens, verbs=_ALL)
    async with live_server(tmp_path, token=everything.text, auth=_tokens_auth(tokens)) as live:
        made = await live.staged()
        for route in _GUARDED:
            for verb in _wrong_verbs(route):
                answer = await _ask(live, route, made["id"], {"Authorization": f"Bearer {by_verb[verb].text}"})
                assert _is_problem(answer, route, 403, "denied"), (route.name, verb, answer)
            for verb in route.rule.verbs:
                if route.method == "DELETE":
                    continue  # shown by the tests of the main path; here it would end the bundle
                answer = await _ask(live, route, made["id"], {"Authorization": f"Bearer {by_verb[verb].text}"})
                # There is no upload here; that its creator finds it is shown by the tests of uploads.
                refused = {401, 403} if "{upload}" in route.path else {401, 403, 404}
                assert answer.status not in refused, (route.name, verb, answer)


async def test_operators_of_one_namespace_do_not_see_all(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    local = access_token(tokens, verbs=_ALL, namespaces=("team-a",))
    async with live_server(tmp_path, token=local.text, auth=_tokens_auth(tokens)) as live:
        for path in ("/v1/bundles", "/v1/usage", "/"):
            assert (await live.call("GET", path)).status == 403


async def test_only_creators_and_operators_change_a_bundle(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    mine = access_token(tokens, verbs=("create",), namespaces=("team-a",))
    blind = access_token(tokens, verbs=("create",), namespaces=("team-a",))
    seeing = access_token(tokens, verbs=("create", "get"), namespaces=("team-a",))
    operator = access_token(tokens, verbs=("operate",))
    async with live_server(tmp_path, token=mine.text, auth=_tokens_auth(tokens)) as live:
        made = await live.staged()
        path = f"/v1/namespaces/team-a/bundles/{made['id']}/lease"
        body = {"seconds": 60}
        assert (await live.call("PUT", path, body=body)).status == 200
        assert (await live.call("PUT", path, body=body, token=operator.text)).status == 200
        assert (await live.call("PUT", path, body=body, token=seeing.text)).status == 403
        unseen = await live.call("PUT", path, body=body, token=blind.text)
        missing = await live.call("PUT", path.replace(made["id"], "a" * 26), body=body, token=blind.text)
        assert _without_id(unseen) == _without_id(missing)
        assert (await live.call("DELETE", path.removesuffix("/lease"), token=blind.text)).status == 404
        assert (await live.call("DELETE", path.removesuffix("/lease"))).status == 204


async def test_unknown_bundle_and_wrong_token_look_the_same(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged()
        for suffix in ("", "/manifest", "/files/jar/a.jar", "/reports"):
            method = "POST" if suffix == "/reports" else "GET"
            body: Any = {} if suffix == "/reports" else None
            answers = []
            for bundle, namespace, token in (
                (made["id"], "team-a", bundle_token(made["id"])),
                (made["id"], "team-a", bundle_token()),
                ("a" * 26, "team-a", bundle_token("a" * 26)),
                ("not-an-id", "team-a", bundle_token()),
                (made["id"], "team-b", bundle_token(made["id"])),
            ):
                path = f"/v1/namespaces/{namespace}/bundles/{bundle}{suffix}"
                answers.append(await live.call(method, path, body=body, token=token.text))
            assert answers[0].status == 404
            assert all(_without_id(answer) == _without_id(answers[0]) for answer in answers), suffix


async def test_the_right_token_in_another_namespace_opens_nothing(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged()
        path = f"/v1/namespaces/team-b/bundles/{made['id']}/manifest"
        assert (await live.call("GET", path, token=made["token"])).status == 404


async def test_the_right_token_of_an_ended_bundle_learns_when_and_why(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged()
        path = f"/v1/namespaces/team-a/bundles/{made['id']}"
        await live.call("DELETE", path)
        answer = await live.call("GET", f"{path}/files/jar/a.jar", token=made["token"])
        assert (answer.status, answer.json["code"]) == (410, "bundle-expired")
        assert "deleted" in answer.json["reason"]
        assert datetime.fromisoformat(answer.json["ended_at"]) <= datetime.now(UTC)
        wrong = await live.call("GET", f"{path}/files/jar/a.jar", token=bundle_token(made["id"]).text)
        assert wrong.status == 404


async def test_tokens_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    first = access_token(tokens, verbs=("list",))
    async with live_server(tmp_path, token=first.text, auth=_tokens_auth(tokens)) as live:
        second = await asyncio.to_thread(access_token, tokens, verbs=("list",))

        async def works() -> bool:
            return (await live.call("GET", "/v1/namespaces/a/bundles", token=second.text)).status == 200

        await eventually(works)
        await asyncio.to_thread(tokens.write_text, "{")
        await eventually(lambda: "not reloaded" in live.logs())
        assert await works()
        await asyncio.to_thread(write_tokens, tokens, TokensFile())

        async def revoked() -> bool:
            return (await live.call("GET", "/v1/namespaces/a/bundles", token=second.text)).status == 401

        await eventually(revoked)


async def test_a_browser_is_asked_for_a_token_as_password_on_the_page_only(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    operator = access_token(tokens, verbs=("operate",))
    async with live_server(tmp_path, auth=_tokens_auth(tokens)) as live:
        asked = await live.call("GET", "/")
        assert asked.headers["WWW-Authenticate"].startswith("Basic ")
        assert (await live.call("GET", "/v1/usage")).headers["WWW-Authenticate"].startswith("Bearer ")
        password = base64.b64encode(f"me:{operator.text}".encode()).decode()
        assert (await live.call("GET", "/", headers={"Authorization": f"Basic {password}"})).status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8480", "127.0.0.1:1", "127.9.9.9", "[::1]:8480"])
def test_names_of_this_machine_are_taken(host: str) -> None:
    Anonymous().check_origin({"Host": host})


async def test_without_authentication_foreign_names_and_pages_are_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        for headers in (
            {"Host": "rebound.example"},
            {"Host": "127.0.0.1.example"},
            {"Host": ""},
            {"Host": "[::1"},
            {"Host": "evil.example[::1]"},
            {"Host": "evil.example@localhost"},
            {"Host": "[127.0.0.1]"},
            {"Host": "localhost:1", "Origin": "http://[::1"},
            {"Host": "localhost:1", "Origin": "http://me@localhost:1"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Host": "localhost:1", "Origin": "http://localhost:2"},
        ):
            for path in ("/v1/info", "/v1/usage", "/", "/livez", "/nowhere"):
                answer = await live.call("GET", path, headers=headers)
                assert (answer.status, answer.json["code"]) == (403, "denied"), (headers, path)
        same = {"Host": "localhost:1", "Origin": "http://localhost:1"}
        assert (await live.call("GET", "/v1/info", headers=same)).status == 200


def test_only_loopback_counts_as_loopback() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1"))
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "::", "10.0.0.1", "example.org"))  # noqa: S104 - refused


async def test_refusals_are_audited(tmp_path: Path) -> None:
    from sqlalchemy import select

    from staging_server.metadata.tables import audit

    tokens = tmp_path / "tokens.json"
    weak = access_token(tokens, verbs=("list",))
    async with live_server(tmp_path, token=weak.text, auth=_tokens_auth(tokens)) as live:
        await live.call("GET", "/v1/usage", headers={"X-Request-Id": "req-1"})
        rows = await live.server.state.parts.metadata.read(
            lambda connection, _: connection.execute(select(audit)).mappings().all(), None
        )
        found = [row for row in rows if row["request_id"] == "req-1"]
        assert [(row["action"], row["result"], row["caller"]) for row in found] == [
            ("getUsage", "denied", f"token:{weak.id}")
        ]


def _without_id(answer: Answer) -> tuple[int, dict[str, str], dict[str, Any]]:
    fields = {name: value for name, value in answer.headers.items() if name not in {"X-Request-ID", "Date"}}
    return answer.status, fields, {**answer.json, "request_id": ""}
