"""Odd requests that are allowed: they get what an ordinary one gets, and nothing more."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.staging_server.live import Answer, Live, digest_of, live_server, read_head

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CONTENT: Final = bytes(range(256)) * 40
_ETAG: Final = f'"{digest_of(_CONTENT)}"'


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A server with one file."""

    live: Live
    file: str
    bundle: str
    token: str

    async def read(self, **headers: str) -> Answer:
        """Read the file with these fields."""
        return await self.live.call("GET", self.file, headers=headers, token=self.token)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def staged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staged]:
    async with live_server(tmp_path_factory.mktemp("odd")) as live:
        made = await live.staged(_CONTENT)
        root = f"/v1/namespaces/team-a/bundles/{made['id']}"
        yield Staged(live=live, file=f"{root}/files/jar/a.jar", bundle=made["id"], token=made["token"])


_WHOLE: Final = {
    "1,000 ranges": {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(1000))},
    "overlapping ranges": {"Range": "bytes=" + ",".join(["0-"] * 1300)},
    "backwards": {"Range": "bytes=5-2"},
    "other unit": {"Range": "lines=1-2"},
    "no unit": {"Range": "0-5"},
    "words": {"Range": "bytes=a-b"},
    "no ends": {"Range": "bytes=-"},
    "negative": {"Range": "bytes=--5"},
    "hexadecimal": {"Range": "bytes=0x0-0x5"},
    "digits of another script": {"Range": "bytes=\u0660-\u0665"},
    "numbers of 5,000 digits": {"Range": "bytes=" + "9" * 5000 + "-"},
    "spaces of Unicode": {"Range": "bytes=\u20030-5"},
    "If-Range of another version": {"Range": "bytes=0-5", "If-Range": '"other"'},
    "If-Range with a date": {"Range": "bytes=0-5", "If-Range": "Sun, 22 Nov 2026 11:00:00 GMT"},
    "If-Range that is weak": {"Range": "bytes=0-5", "If-Range": f"W/{_ETAG}"},
    "If-Range of 10 KB": {"Range": "bytes=0-5", "If-Range": '"' * 10_000},
    "If-None-Match of others": {"If-None-Match": ",".join(f'"{n}"' for n in range(1000))},
    "If-None-Match without quotes": {"If-None-Match": digest_of(_CONTENT)},
    "If-None-Match unclosed": {"If-None-Match": _ETAG[:-1]},
    "If-Modified-Since": {"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 GMT"},
    "If-Match of any": {"If-Match": "*"},
    "Accept of nothing": {"Accept": "text/nothing;q=0"},
    "Accept-Encoding": {"Accept-Encoding": "gzip, br, zstd"},
    "method override": {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"},
    "rewritten target": {"X-Original-URL": "/v1/usage", "X-Rewrite-URL": "/v1/usage", "Forwarded": "host=evil.example"},
    "h2c": {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA"},
    "unknown expectation": {"Expect": "the unexpected"},
}


@pytest.mark.parametrize("name", _WHOLE)
async def test_an_odd_condition_gives_the_whole_file_once(staged: Staged, name: str) -> None:
    answer = await staged.read(**_WHOLE[name])
    assert (answer.status, answer.body) == (200, _CONTENT)
    assert answer.headers["Content-Length"] == str(len(_CONTENT))
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("value", [_ETAG, f"W/{_ETAG}", "*", f'"a", {_ETAG}', f'W/"x",{_ETAG} , "y"'])
async def test_what_a_client_has_is_not_sent(staged: Staged, value: str) -> None:
    answer = await staged.read(**{"If-None-Match": value})
    assert (answer.status, answer.body) == (304, b"")


async def test_of_two_equal_keys_the_last_counts_for_the_check_and_for_the_keeping(staged: Staged) -> None:
    body = b'{"application":"one","files":[],"files":[],"application":"two"}'
    path = "/v1/namespaces/team-a/bundles"
    made = await staged.live.call("POST", path, data=body, headers={"Content-Type": "application/json"})
    assert made.status == 201
    kept = (await staged.live.call("GET", f"{path}/{made.json['id']}")).json
    assert (kept["application"], kept["files"]) == ("two", 0)
    refused = b'{"application":"one","application":1}'
    again = await staged.live.call("POST", path, data=refused, headers={"Content-Type": "application/json"})
    assert again.status == 400


async def test_a_charset_changes_nothing(staged: Staged) -> None:
    path = "/v1/namespaces/team-a/bundles"
    kind = {"Content-Type": "application/json; charset=utf-7"}
    made = await staged.live.call("POST", path, data=b'{"application":"+AGE-"}', headers=kind)
    assert (await staged.live.call("GET", f"{path}/{made.json['id']}")).json["application"] == "+AGE-"


async def test_two_hundred_requests_in_one_packet_are_answered_in_their_order(staged: Staged) -> None:
    paths = ["/v1/info", "/nowhere", "/livez", "/v1/bundles?limit=0"] * 50
    wanted = [200, 404, 200, 400] * 50
    async with staged.live.raw() as (reader, writer), asyncio.timeout(30):
        writer.write(b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths))
        await writer.drain()
        found = []
        for _ in paths:
            status, fields = await read_head(reader)
            await reader.readexactly(int(fields["Content-Length"]))
            found.append(status)
    assert found == wanted


async def test_a_body_that_nobody_asked_for_is_not_the_next_request(staged: Staged) -> None:
    smuggled = b"GET /v1/usage HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    async with staged.live.raw() as (reader, writer), asyncio.timeout(10):
        writer.write(head + smuggled + b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
    assert answer.count(b"HTTP/1.1 ") <= 2
    assert b"namespaces" not in answer


async def test_a_time_near_the_end_of_the_calendar_is_refused_and_harms_nobody(staged: Staged) -> None:
    path = f"/v1/namespaces/team-a/bundles/{staged.bundle}"
    for until in (
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
        "2030-01-01T00:00:00",
    ):
        answer = await staged.live.call("PUT", f"{path}/pin", body={"reason": "r", "until": until})
        assert (answer.status, answer.json["code"]) == (400, "invalid-request"), until
    assert (await staged.live.call("GET", "/v1/bundles")).status == 200
    assert (await staged.live.call("POST", "/v1/sweeps", body={"dry_run": True})).status == 200


async def test_a_report_that_acts_on_a_terminal_is_kept_as_it_is_and_shown_escaped(staged: Staged) -> None:
    report: dict[str, Any] = {
        "outcome": "failed", "role": "driver", "pod": "p", "exit_code": 1, "seconds": 1, "detail": "\x1b[2J\x00",
    }  # fmt: skip
    path = f"/v1/namespaces/team-a/bundles/{staged.bundle}"
    assert (await staged.live.call("POST", f"{path}/reports", body=report, token=staged.token)).status == 204
    explained = await staged.live.call("GET", f"{path}/explain")
    assert b"\x1b" not in explained.body
    assert json.loads(explained.body)["reports"][0]["report"]["detail"] == "\x1b[2J\x00"
    for name, value in (("exit_code", 10**30), ("exit_code", -1), ("seconds", -1), ("files", -1), ("pod", "a\x1b")):
        answer = await staged.live.call("POST", f"{path}/reports", body={**report, name: value}, token=staged.token)
        assert answer.status == 400, name
