"""Secrets are asked for with each request, and a refused one is followed by another if there is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from staging_io.authorized import AuthorizedHttp
from staging_io.bearers import Fixed, TokenFile, secret_of
from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.errors import InvalidRequest, Unauthenticated
from staging_protocol.tokens import BundleId, Token, TokenKind
from tests.resolver.faulty_server import FaultyServer

TOKEN = Token.generate(TokenKind.ACCESS)
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl"
BUNDLE = BundleId.generate()
PATH = f"/v1/namespaces/spark/bundles/{BUNDLE}"


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


class Several:
    """Gives one secret after the other."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def current(self) -> str:
        return self.texts[0]

    def after_refusal(self, refused: str | None) -> str | None:
        assert refused == self.texts.pop(0)
        return self.texts[0] if self.texts else None


def sent(server: FaultyServer) -> list[str | None]:
    return [headers.get("Authorization") for headers in server.headers]


def test_a_refused_secret_is_followed_by_one_other_and_by_no_third(http: HttpClient) -> None:
    with FaultyServer() as server:
        client = StagingClient(url=server.url, token=Several("a", "b", "c"), http=http)
        server.faults[PATH] = [lambda handler: handler.answer(401, b"")] * 3
        with pytest.raises(Unauthenticated):
            client.bundle("spark", BUNDLE)
    assert sent(server) == ["Bearer a", "Bearer b"]


def test_a_body_in_parts_is_sent_once(http: HttpClient) -> None:
    secrets = Several("a", "b")
    with FaultyServer() as server:
        path = "/v1/namespaces/spark/bundles"
        server.faults[path] = [lambda handler: handler.answer(401, b"")]
        client = AuthorizedHttp(url=server.url, bearer=secrets, http=http, allow_plain_http=False)
        with client.open("POST", path, headers={"Content-Length": "2"}, body=iter([b"a", b"b"])) as answer:
            assert answer.status == 401
    assert server.posted == [(path, b"ab")]
    assert secrets.texts == ["a", "b"]


def test_nobody_sends_nothing(http: HttpClient) -> None:
    with FaultyServer() as server:
        for nobody in (None, Fixed(None)):
            client = StagingClient(url=server.url, token=nobody, http=http)
            server.faults[PATH] = [lambda handler: handler.answer(401, b"")]
            with pytest.raises(Unauthenticated):
                client.bundle("spark", BUNDLE)
    assert sent(server) == [None, None]


def test_a_file_is_read_for_each_request(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "token")
    for text in (TOKEN.text, f" {JWT}\n"):
        (tmp_path / "token").write_text(text)
        assert file.current() == text.strip()
        assert file.after_refusal("another") == text.strip()
        assert file.after_refusal(text.strip()) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b",
        "a.b.c.d",
        "a.b.c d",
        "a.b.\x00",
        "a.b.c\nX-Evil: 1",
        "ä.b.c",
        "a..c",
        pytest.param(TOKEN.text[:-1], id="cut"),
    ],
)
def test_what_has_not_the_form_of_a_token_is_refused_and_not_repeated(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(InvalidRequest, match="not a token") as refused:
        TokenFile(tmp_path / "token").current()
    assert len(text) < 5 or text not in refused.value.detail


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"absent cannot be read: No such file"):
        TokenFile(tmp_path / "absent").current()


def test_both_kinds_of_tokens_are_known() -> None:
    assert secret_of(f"{JWT}\n") == JWT
    assert secret_of(f" {TOKEN.text} ") == TOKEN.text
