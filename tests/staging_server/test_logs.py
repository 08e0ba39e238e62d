"""Log lines: JSON, one a request, without secrets."""

import json
import logging
import os
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_server.logs import configured, redact
from tests.staging_server.live import Live, access_token, eventually, live_server, new_file

# The same in every process: it is part of the names of tests.
_TOKEN = Token(kind=TokenKind.BUNDLE, id=BundleId("abcdefghijklmnopqrstuvwxyz"), secret="Ab1" * 14 + "x")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"got {_TOKEN.text} here", _TOKEN.secret),
        (f'{{"a":"{_TOKEN.text}"}}', _TOKEN.secret),
        (f"Authorization: Bearer {_TOKEN.text}", _TOKEN.secret),
        ("authorization: bearer eyJhbGciOi.J9.x-y_z", "eyJhbGciOi"),
        ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
        ("https://b.example/x.jar?X-Amz-Signature=abc&y=1 failed", "abc"),
        ('"s3://user:pa55word@host/key"', "pa55word"),
        ("https://u:p4ss@h/x?sig=zzz", "zzz"),
    ],
)
def test_secrets_are_taken_out(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_what_is_no_secret_stays() -> None:
    for text in (
        '{"url":"http://127.0.0.1:8480","address":"::1"}',
        "basic facts bearer of news",
        "a?b=c",
        "class pass",
    ):
        assert redact(text) == text


@given(st.text())
def test_no_token_survives_in_any_surroundings(text: str) -> None:
    assert _TOKEN.secret not in redact(f"{text} {_TOKEN.text} {text}")


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_both_ways_of_logging_give_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file, configured(level="info", plain=False, descriptor=file.fileno()):
        structlog.get_logger("x").info("one", bundle="b", odd={"path": Path("/p")})
        structlog.get_logger("x").debug("hidden")
        logging.getLogger("library").warning("two %s\nlines", _TOKEN.text)
        structlog.get_logger("x").error("three", exc_info=_raised(ValueError(f"with {_TOKEN.text}")))
    one, two, three = _lines(path)
    assert (one["event"], one["level"], one["bundle"]) == ("one", "info", "b")
    assert (two["logger"], two["level"]) == ("library", "warning")
    assert "Traceback" in str(three["exception"])
    assert _TOKEN.secret not in path.read_text()


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error):
        return error


def test_lines_for_people_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file, configured(level="info", plain=True, descriptor=file.fileno()):
        structlog.get_logger("x").info("listening", url="http://localhost:1")
    assert path.read_text().endswith("info     listening url=http://localhost:1\n")


def test_a_reader_that_stalls_stops_nothing_and_lines_are_counted() -> None:
    reading, writing = os.pipe()
    try:
        with configured(level="info", plain=False, descriptor=writing) as writer:
            for _ in range(60_000):
                writer.write("x" * 50)
            received = b""
            while b"log lines dropped" not in received[-200:]:
                received += os.read(reading, 1 << 20)
                writer.write("y")
            os.close(reading)  # now nobody listens at all, which must not keep the server from ending
    finally:
        os.close(writing)


async def _line_of(live: Live, request_id: str) -> dict[str, object]:
    await eventually(lambda: request_id in live.logs())
    return next(json.loads(line) for line in live.logs().splitlines() if request_id in line)


async def test_each_request_is_one_line_with_its_template(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(b"content" * 100)
        path = f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar"
        await live.call("GET", f"{path}?token={_TOKEN.text}", headers={"X-Request-Id": "req-7"}, token=made["token"])
        line = await _line_of(live, "req-7")
        assert line["route"] == "/v1/namespaces/{namespace}/bundles/{bundle}/files/{kind}/{name}"
        assert (line["method"], line["status"], line["bytes"]) == ("GET", 200, 700)
        assert (line["namespace"], line["bundle"], line["caller"]) == ("team-a", made["id"], f"bundle:{made['id']}")
        assert isinstance(line["duration_ms"], float)
        assert live.logs().count("req-7") == 1
        await live.call("GET", "/nowhere", headers={"X-Request-Id": "req-8"})
        assert (await _line_of(live, "req-8"))["code"] == "not-found"
        assert "/livez" not in live.logs()


async def test_secrets_are_in_no_log_database_or_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tmp_path / "tokens.json"
    access = access_token(tokens, verbs=("create", "get", "operate"))
    auth = {"mode": "tokens", "tokens_file": tokens}
    bodies: list[bytes] = []
    async with live_server(tmp_path, token=access.text, auth=auth, logs={"level": "debug"}) as live:
        signed = "https://bucket.example/x.jar?X-Amz-Signature=topsecretsignature"
        remote = [{"uri": signed, "kind": "jar", "target": "x.jar"}]
        made = await live.create(new_file(b"content"), remote=[{**remote[0], "uri": "https://bucket.example/x.jar"}])
        bundle = Token.parse(made["token"])
        refused = await live.call(
            "POST", "/v1/namespaces/team-a/bundles", body={"application": "j", "remote": [*remote, {"uri": signed}]}
        )
        bodies.append(refused.body)
        for token in (bundle.text, bundle.text[:-1], access.text[:-1]):
            path = f"/v1/namespaces/team-a/bundles/{made['id']}/manifest?access_token={token}"
            bodies.append((await live.call("GET", path, token=token)).body)

        async def fail(*_: object) -> None:
            msg = f"{access.text} {signed}"
            raise RuntimeError(msg)

        monkeypatch.setattr(live.server.state.parts.overview, "usage", fail)
        bodies.append((await live.call("GET", "/v1/usage")).body)
        await eventually(lambda: "unexpected error" in live.logs())
    everything = b"".join([*bodies, _all_files(tmp_path)])
    assert b"unexpected error" in everything
    for secret in (access.secret, bundle.secret, "topsecretsignature"):
        assert secret.encode() not in everything


def _all_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
