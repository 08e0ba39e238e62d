"""What a hostile server, or somebody in between, answers: our errors, no second request, nothing on the terminal."""

import gzip
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from resolver.sources.http import HttpSource
from resolver.sources.outside import open_outside
from staging_io.http import HttpClient, HttpSettings
from staging_io.staging import StagingClient
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    InternalError,
    InvalidRequest,
    NotFound,
    RefusedByPolicy,
    SourceUnavailable,
    StagingError,
)
from staging_protocol.sources import Egress, Networks, SourceSettings
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.uris import DependencyUri
from tests.hostile.evil_server import EvilServer, Said, answer

_ROOT: Final = Path(__file__).parents[2]
_OK: Final = b"HTTP/1.1 200 OK\r\n"
_BOMB: Final = gzip.compress(bytes(50_000_000))
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_ENTRY: Final = b'{"entries":[{"uri":"%s","kind":"jar","target":"%s"}]}'


@pytest.fixture
def client() -> Iterator[Callable[[EvilServer], StagingClient]]:
    http = HttpClient(HttpSettings(stall_timeout=10))
    token = Token.generate(TokenKind.BUNDLE)
    yield lambda server: StagingClient(url=server.url, token=token, http=http)
    http.close()


def _redirect(location: bytes) -> bytes:
    return answer(b"", b"Location: " + location, status=b"302 Found")


def _problem(**fields: Any) -> bytes:
    problem = {
        "type": "t", "title": "t", "status": 404, "detail": "d", "code": "not-found", "retryable": False,
        "request_id": "r", **fields,
    }  # fmt: skip
    return json.dumps(problem).encode()


_ANSWERS: Final[dict[str, tuple[Said, type[StagingError]]]] = {
    "redirect-to-metadata": (_redirect(b"http://169.254.169.254/latest/meta-data/"), InvalidRequest),
    "redirect-to-a-file": (_redirect(b"file:///etc/passwd"), InvalidRequest),
    "redirect-elsewhere": (_redirect(b"https://elsewhere.example/"), InvalidRequest),
    "redirect-to-itself": (_redirect(b"/v1/info"), InvalidRequest),
    "no-http": (b"SSH-2.0-OpenSSH_9\r\n\r\n", SourceUnavailable),
    "nothing": (b"", SourceUnavailable),
    "switching-protocols": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", SourceUnavailable),
    "endless-status-line": (itertools.chain([b"HTTP/1.1 200 "], itertools.repeat(b"x" * 65536)), SourceUnavailable),
    "endless-header": (itertools.chain([_OK + b"X: "], itertools.repeat(b"x" * 65536)), SourceUnavailable),
    "endless-headers": (itertools.chain([_OK], itertools.repeat(b"X-A: b\r\n" * 100)), SourceUnavailable),
    "endless-announcements": (itertools.repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100), SourceUnavailable),
    "endless-trailers": (
        itertools.chain([_CHUNKED + b"0\r\n"], itertools.repeat(b"X: y\r\n" * 100)),
        SourceUnavailable,
    ),
    "endless-chunk-line": (itertools.chain([_CHUNKED + b"5;"], itertools.repeat(b"x" * 65536)), SourceUnavailable),
    "chunk-size-of-megabytes": (_CHUNKED + b"f" * 100_000 + b"\r\n", SourceUnavailable),
    "chunk-longer-than-said": (_CHUNKED + b"2\r\nabcdef\r\n0\r\n\r\n", SourceUnavailable),
    "size-of-5000-digits": (_OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", SourceUnavailable),
    "size-in-other-digits": (_OK + "Content-Length: ٣\r\n\r\n".encode() + b"abc", SourceUnavailable),
    "two-sizes": (_OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", SourceUnavailable),
    "negative-size": (_OK + b"Content-Length: -1\r\n\r\n", SourceUnavailable),
    "shorter-than-said": (_OK + b"Content-Length: 100\r\nConnection: close\r\n\r\n{}", SourceUnavailable),
    "unknown-coding": (_OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", SourceUnavailable),
    "folded-header": (_OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", SourceUnavailable),
    "gzip-bomb": (answer(_BOMB, b"Content-Encoding: gzip"), InvalidRequest),
    "gzip-bomb-as-an-error": (answer(_BOMB, b"Content-Encoding: gzip", status=b"500 x"), InternalError),
    "endless-body": (itertools.chain([_OK + b"\r\n"], itertools.repeat(b" " * 65536)), InvalidRequest),
    "endless-body-as-an-error": (
        itertools.chain([b"HTTP/1.1 500 x\r\n\r\n"], itertools.repeat(b" " * 65536)),
        InternalError,
    ),
    "a-page": (answer(b"<html>login</html>", b"Content-Type: text/html"), InvalidRequest),
    "deep-json": (answer(b'{"entries":[],"x":' + b"[" * 1_000_000), InvalidRequest),
    "deep-json-as-an-error": (answer(b'{"type":"a","x":' + b"[" * 1_000_000, status=b"404 x"), NotFound),
    "json-of-another-kind": (answer(b'{"entries":{}}'), InvalidRequest),
    "no-utf-8": (answer(b'{"entries":[{"uri":"\xff"}]}'), InvalidRequest),
    "target-outside": (answer(_ENTRY % (b"https://h/a", b"../../etc/cron.d/x")), InvalidRequest),
    "target-absolute": (answer(_ENTRY % (b"https://h/a", b"/etc/passwd")), InvalidRequest),
    "target-nul": (answer(_ENTRY % (b"https://h/a", b"a\\u0000")), InvalidRequest),
    "target-of-64-kib": (answer(_ENTRY % (b"https://h/a", b"a" * 65536)), InvalidRequest),
    "target-turned-around": (answer(_ENTRY % (b"https://h/a", b"a\\u202egpj.jar")), InvalidRequest),
    "unknown-code": (answer(_problem(code="made-up"), status=b"404 x"), InternalError),
    "code-of-a-success": (answer(_problem(code="not-found"), status=b"404 x"), NotFound),
    "status-beyond": (b"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", InternalError),
    "retry-after-for-ever": (answer(b"", b"Retry-After: " + b"9" * 4000, status=b"500 x"), InternalError),
}


@pytest.mark.parametrize("name", _ANSWERS)
def test_a_hostile_answer_is_one_of_our_errors(name: str, client: Callable[[EvilServer], StagingClient]) -> None:
    said, kind = _ANSWERS[name]
    with EvilServer(said) as server:
        with pytest.raises(kind) as caught:
            client(server).manifest("spark", BundleId.generate())
        assert type(caught.value) is kind
        assert len(server.requests) == 1, "a redirect was followed, or the request was repeated"
        assert caught.value.detail.isprintable()
        assert len(caught.value.detail) < 2000


@pytest.mark.parametrize(
    "location",
    [
        b"http://169.254.169.254/latest/meta-data/", b"http://2852039166/", b"http://[fe80::1]/",
        b"http://[::ffff:169.254.169.254]/", b"http://metadata.google.internal/", b"file:///etc/passwd",
        b"ftp://h/a", b"gopher://h/a", b"//169.254.169.254/x", b"javascript:alert(1)", b"data:,x",
    ],
)  # fmt: skip
def test_a_redirect_to_where_no_dependency_lies_is_refused(location: bytes, tmp_path: Path) -> None:
    _refused_redirect(location, RefusedByPolicy, tmp_path)


@pytest.mark.parametrize("location", [b"http://[", b"http://h:99999/", b"http://h:x/", b"http://[::1", b"//[x"])
def test_a_redirect_to_no_url_is_refused(location: bytes, tmp_path: Path) -> None:
    _refused_redirect(location, NotFound, tmp_path)


def _refused_redirect(location: bytes, kind: type[StagingError], tmp_path: Path) -> None:
    rules = SourceSettings(egress=Egress(networks=Networks(allow=("127.0.0.0/8",))))
    outside = open_outside(rules, secrets=tmp_path, base=HttpSettings())
    with EvilServer(_redirect(location)) as server:
        with pytest.raises(kind):
            HttpSource(outside).stat(DependencyUri.parse(f"{server.url}/a.jar"))
        assert len(server.requests) == 1
    outside.http.close()


_FORGED: Final = "gone\x1b[2J\x1b]0;owned\x07\r\nspark-staging: all is well\u202e\x9b1m"


@pytest.mark.parametrize("output", ["text", "json"])
def test_no_text_of_a_server_acts_on_the_terminal(output: str, tmp_path: Path) -> None:
    said = answer(_problem(detail=_FORGED, title=_FORGED, missing=[_FORGED]), status=b"404 x")
    with EvilServer(said) as server:
        done = _command("bundles", "list", "-n", "spark", "-o", output, url=server.url, home=tmp_path)
    assert done.returncode == 40
    assert "gone" in done.stderr
    assert all(line.isprintable() for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) == 1


def test_no_name_that_a_server_lists_acts_on_the_terminal(tmp_path: Path) -> None:
    bundle = {
        "id": "a" * 26, "namespace": _FORGED, "application": _FORGED, "state": "open", "files": 1, "size": 1,
        "created_at": "2026-01-01T00:00:00Z", "created_by": _FORGED, "last_activity_at": "2026-01-01T00:00:00Z",
        "expires_at": None, "manifest_digest": Digest.of(b""),
    }  # fmt: skip
    with EvilServer(answer(json.dumps({"bundles": [bundle]}).encode())) as server:
        done = _command("bundles", "list", "-n", "spark", url=server.url, home=tmp_path)
    with EvilServer(answer(json.dumps(bundle).encode())) as server:
        shown = _command("bundles", "show", "a" * 26, "-n", "spark", url=server.url, home=tmp_path)
    for one, lines in ((done, 2), (shown, 10)):
        assert one.returncode == 0, one.stderr
        assert all(line.isprintable() for line in one.stdout.split("\n"))
        assert len(one.stdout.splitlines()) <= lines + 3


def test_states_that_do_not_fit_the_files_are_an_error(tmp_path: Path) -> None:
    created = {
        "id": "a" * 26, "token": Token.generate(TokenKind.BUNDLE).text, "sealed": False, "files": ["held"] * 5,
        "expires_at": "2026-01-01T00:00:00Z", "manifest_digest": Digest.of(b""), "pods": {"url": "http://h"},
    }  # fmt: skip
    (tmp_path / "a.jar").write_bytes(b"x")
    with EvilServer(answer(json.dumps(created).encode(), status=b"201 x")) as server:
        done = _command("stage", "-n", "spark", "--jars", str(tmp_path / "a.jar"), url=server.url, home=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr


def _command(*arguments: str, url: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.defpath, "HOME": str(home), "PYTHONPATH": str(_ROOT), "SPARK_STAGING_URL": url,
        "XDG_CACHE_HOME": str(home),
    }  # fmt: skip
    command = [sys.executable, "-c", "from submission.cli import main; main()", *arguments]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
