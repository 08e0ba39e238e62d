"""Every error is a problem with a code and a request id, whoever found it."""

import json
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.errors import InternalError, TooManyRequests, Unavailable
from tests.staging_server.live import Live, live_server, read_head


async def test_unknown_routes_and_methods_are_problems(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        missing = await live.call("GET", "/v2/info")
        assert (missing.status, missing.json["code"]) == (404, "not-found")
        wrong = await live.call("PATCH", "/v1/namespaces/team-a/bundles")
        assert (wrong.status, wrong.json["code"]) == (405, "method-not-allowed")
        assert wrong.headers["Allow"] == "GET, POST"


async def test_what_is_no_request_gets_a_problem(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        for text in (b"\x16\x03\x01\x02\x00\x01", b"GARBAGE", b"GET / HTTP/9", b"GET / HTTP/1.1\r\na: b\x00"):
            async with live.raw() as (reader, writer):
                writer.write(text + b"\r\n\r\n")
                status, fields = await read_head(reader)
                body = json.loads(await reader.read())
                assert (status, body["code"]) == (400, "invalid-request"), text
                assert fields["Content-Type"] == "application/problem+json"
                assert body["request_id"] == fields["X-Request-ID"]


async def test_a_head_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live, live.raw() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n")
        assert (await read_head(reader))[0] == 400


async def test_an_unexpected_error_tells_nothing_but_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_server(tmp_path) as live:
        _fail(live, monkeypatch, RuntimeError("the password is hunter2"))
        answer = await live.call("GET", "/v1/usage", headers={"X-Request-Id": "abc"})
        assert (answer.status, answer.json["code"], answer.json["retryable"]) == (500, "internal-error", True)
        assert answer.json["request_id"] == "abc"
        assert b"hunter2" not in answer.body
        assert (await live.call("GET", "/livez")).status == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [(TooManyRequests("busy", retry_after=1.2), 429), (Unavailable("later", retry_after=2), 503),
     (InternalError("broken"), 500)],
)  # fmt: skip
async def test_errors_say_when_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any, status: int
) -> None:
    async with live_server(tmp_path) as live:
        _fail(live, monkeypatch, error)
        answer = await live.call("GET", "/v1/usage")
        assert (answer.status, answer.json["detail"]) == (status, error.detail)
        assert answer.headers.get("Retry-After") == {429: "2", 503: "2", 500: None}[status]


async def test_a_sane_request_id_is_kept_and_another_replaced(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        kept = await live.call("GET", "/v1/info", headers={"X-Request-Id": "trace-1/2:3"})
        assert kept.headers["X-Request-Id"] == "trace-1/2:3"
        for bad in ("a b", "x" * 129, 'q"uote', ""):
            replaced = await live.call("GET", "/v1/info", headers={"X-Request-Id": bad})
            assert replaced.headers["X-Request-Id"] != bad
            assert len(replaced.headers["X-Request-Id"]) == 16


async def test_names_that_cannot_be_namespaces_are_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        for name in ("Team", "a_b", "-a", "a" * 64, "a%2Fb", "%00"):
            answer = await live.call("GET", f"/v1/namespaces/{name}/bundles")
            assert (answer.status, answer.json["code"]) == (400, "invalid-request"), name


async def test_answers_do_not_name_the_versions_of_libraries(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        for path in ("/v1/info", "/nowhere", "/livez"):
            assert (await live.call("GET", path)).headers["Server"].startswith("spark-staging/")


def _fail(live: Live, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(live.server.state.parts.overview, "usage", fail)
