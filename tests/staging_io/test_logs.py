"""Logs: one JSON line each, without secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from staging_io.logs import fields, log_to_stderr, redact
from staging_protocol.tokens import Token, TokenKind


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    text = io.StringIO()
    log_to_stderr(stream=text)
    yield text
    root.handlers[:], root.level = before


def test_a_line_is_json_with_time_level_event_and_fields(stream: io.StringIO) -> None:
    logging.getLogger("x").warning("done %s", "well\n", extra=fields(files=3))
    (line,) = stream.getvalue().splitlines()
    value = json.loads(line)
    assert (value["level"], value["event"], value["files"]) == ("warning", "done well\n", 3)
    assert value["time"].endswith("Z")


def test_a_token_is_blacked_out_wherever_it_comes_from(stream: io.StringIO) -> None:
    token = Token.generate(TokenKind.BUNDLE)
    try:
        raise ValueError(token.text)  # noqa: TRY301 - a foreign library's message
    except ValueError:
        logging.getLogger("x").exception("token %s", token.text, extra=fields(header=f"Bearer {token.text}"))
    assert token.secret not in stream.getvalue()
    json.loads(stream.getvalue())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("GET https://ali:sesame@host/a.jar", "https://[redacted]@host/a.jar"),
        ("https://b.s3/a?X-Amz-Signature=sesame&x=1", "&x=1"),
        ("Authorization: Basic c2VzYW1lc2VzYW1l", "Basic [redacted]"),
        ("password=sesame next", " next"),
    ],
)
def test_usual_secrets_are_blacked_out(text: str, kept: str) -> None:
    assert "sesame" not in redact(text)
    assert "c2Vz" not in redact(text)
    assert kept in redact(text)


def test_what_is_no_secret_stays() -> None:
    text = "resolved https://host/a.jar sha256:" + "ab" * 32
    assert redact(text) == text
