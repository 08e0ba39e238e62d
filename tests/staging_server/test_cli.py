"""The command `spark-staging-server`, as people and supervisors run it."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner, Result

from staging_protocol.tokens import Token
from staging_server.cli import main
from tests.staging_server.live import BYTES, JSON, digest_of, new_file

_COMMAND = [sys.executable, "-m", "staging_server.cli"]
_ROOT = Path(__file__).parents[2]


def _run(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=dict(environment or {}))


def _fails(run: Result, *words: str, code: int = 2) -> None:
    assert run.exit_code == code, run.stderr
    assert "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("spark-staging-server: "), run.stderr
    for word in words:
        assert word in last, run.stderr


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[str]
    url: str
    started: dict[str, object]


@contextmanager
def _serving(folder: Path, *arguments: str, **environment: str) -> Iterator[Served]:
    env = {**os.environ, "PYTHONPATH": str(_ROOT), **environment}  # noqa: TID251 - passed on to a child
    command = [*_COMMAND, "serve", "--port", "0", "--folder", str(folder / "data"), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        try:
            started = json.loads(process.stderr.readline())
            yield Served(process=process, url=started["url"], started=started)
        finally:
            process.kill()


def _rest(pipe: IO[str] | None) -> str:
    assert pipe is not None
    return pipe.read()


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_serve_says_in_one_line_where_it_listens_and_leaves_with_0(tmp_path: Path) -> None:
    with _serving(tmp_path) as served:
        assert served.started["event"] == "listening"
        assert served.started["auth_mode"] == "none"
        assert served.started["folder"] == str(tmp_path / "data")
        assert _status(f"{served.url}/readyz") == 200
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=20) == 0
        assert '"event":"stopped"' in _rest(served.process.stderr)


def test_what_runs_may_end_after_sigterm_and_nothing_new_begins(tmp_path: Path) -> None:
    with _serving(tmp_path, SPARK_STAGING_SERVER_TIMEOUTS__SHUTDOWN_DELAY="0.2") as served:
        content = b"x" * 100_000
        host, port = served.url.removeprefix("http://").split(":")
        _create(served.url, content)
        with socket.create_connection((host, int(port)), timeout=20) as upload:
            upload.sendall(_put_head(content) + content[:10])
            _wait(lambda: _metric(served.url, "sparkstaging_uploads_in_flight") == 1)
            served.process.send_signal(signal.SIGTERM)
            _wait(lambda: _status(f"{served.url}/readyz") == 503)
            _wait(lambda: _status(f"{served.url}/v1/info") == 503)
            assert _status(f"{served.url}/livez") == 200
            upload.sendall(content[10:])
            assert upload.recv(65536).startswith(b"HTTP/1.1 201")
        assert served.process.wait(timeout=20) == 0


def test_a_second_signal_hurries(tmp_path: Path) -> None:
    with _serving(tmp_path, SPARK_STAGING_SERVER_TIMEOUTS__SHUTDOWN="600") as served:
        content = b"x" * 100_000
        host, port = served.url.removeprefix("http://").split(":")
        _create(served.url, content)
        with socket.create_connection((host, int(port)), timeout=20) as upload:
            upload.sendall(_put_head(content) + content[:10])
            _wait(lambda: _metric(served.url, "sparkstaging_uploads_in_flight") == 1)
            served.process.send_signal(signal.SIGTERM)
            _wait(lambda: _status(f"{served.url}/readyz") == 503)
            served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(timeout=20) == 0


def test_a_port_that_is_taken_is_a_plain_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        _fails(_run("serve", "--port", port, "--folder", str(tmp_path / "data")), port, "in use")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], ["loopback", "auth.mode=tokens"]),  # noqa: S104 - refused
        (["--host", "no.such.host.invalid", "--tokens-file", "{tokens}"], ["cannot listen"]),
        (["--tokens-file", "{folder}/missing.json"], ["tokens file", "missing.json"]),
        (["--tokens-file", "{broken}"], ["broken.json", "not valid"]),
        (["--folder", "{folder}/a/b/c"], ["does not exist"]),
        (["--folder", "{broken}"], ["not writable"]),
    ],
)
def test_a_start_that_cannot_succeed_is_a_plain_error(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "broken.json").write_text('{"tokens": [{}]}')
    (tmp_path / "tokens.json").write_text('{"tokens": []}')
    places = {"folder": tmp_path, "broken": tmp_path / "broken.json", "tokens": tmp_path / "tokens.json"}
    filled = [argument.format(**places) for argument in arguments]
    _fails(_run("serve", "--port", "0", "--folder", str(tmp_path / "data"), *filled), *words)


def test_settings_that_are_wrong_are_named_without_their_values(tmp_path: Path) -> None:
    environment = {
        "SPARK_STAGING_SERVER_PORT": "many",
        "SPARK_STAGING_SERVER_STORAGE__DATABASE_URL": "postgresql+asyncpg://u:hunter2@h/d",
    }
    run = _run("serve", environment=environment)
    _fails(run, "setting port")
    assert "hunter2" not in run.stderr


def test_a_misspelt_setting_is_a_plain_error(tmp_path: Path) -> None:
    environment = {"SPARK_STAGING_SERVER_DATA_FOLDER": str(tmp_path)}
    _fails(_run("serve", environment=environment), "DATA_FOLDER", "SPARK_STAGING_SERVER_STORAGE__FOLDER")


def test_help_and_tokens_need_no_server() -> None:
    heavy = "{'aiohttp', 'sqlalchemy', 'pydantic', 'structlog', 'asyncio'}"
    program = f"import sys, staging_server.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=_ROOT)
    assert done.stdout == "[]\n"


def test_access_tokens_are_shown_once_and_kept_as_hashes(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    made = _run("tokens", "create", "--file", str(file), "--name", "ci", "--namespace", "team-a", "--verb", "create")
    token = Token.parse(made.stdout)
    assert made.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token.secret not in file.read_text()
    assert json.loads(file.read_text())["tokens"][0]["hash"] == token.hash
    listed = _run("tokens", "list", "--file", str(file)).stdout
    assert token.id in listed
    assert "namespaces=team-a  verbs=create" in listed
    assert _run("tokens", "revoke", "--file", str(file), token.id).exit_code == 0
    assert json.loads(file.read_text()) == {"tokens": []}
    _fails(_run("tokens", "revoke", "--file", str(file), token.id), token.id, code=40)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_a_token_needs_a_namespace(tmp_path: Path) -> None:
    file = str(tmp_path / "tokens.json")
    _fails(_run("tokens", "create", "--file", file, "--name", "x"), "--namespace")
    _fails(_run("tokens", "create", "--file", file, "--name", "x", "--namespace", "Bad_Name"), "Bad_Name")
    _fails(_run("tokens", "list"), "--file")


def test_sweep_and_migrate_work_without_a_server(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    assert _run("migrate", "--folder", folder).stdout == "the database is up to date\n"
    assert _run("sweep", "--folder", folder).stdout == "ended 0 bundles, removed 0 blobs, 0 B\n"
    assert _run("sweep", "--folder", folder, "--dry-run").stdout.startswith("would end 0 bundles")


def test_sweep_lets_a_running_server_do_it(tmp_path: Path) -> None:
    with _serving(tmp_path) as served:
        run = _run("sweep", "--url", served.url, "--dry-run")
        assert (run.exit_code, run.stdout.startswith("would end 0 bundles")) == (0, True), run.stderr
    _fails(_run("sweep", "--url", served.url), "does not answer", code=44)


def test_check_says_what_to_fix(tmp_path: Path) -> None:
    good = _run("check", "--folder", str(tmp_path / "data"))
    assert good.exit_code == 0, good.stdout
    found = re.findall(r"^ok  (\w+)", good.stdout, re.MULTILINE)
    assert found == ["address", "tokens", "kubernetes", "folder", "space", "database"]
    assert not (tmp_path / "data").exists()
    (tmp_path / "tokens.json").write_text("{}")
    environment = {
        "SPARK_STAGING_SERVER_AUTH__TOKENS_FILE": str(tmp_path / "tokens.json"),
        "SPARK_STAGING_SERVER_AUTH__MODE": "tokens",
        "SPARK_STAGING_SERVER_TLS__CERTIFICATE_FILE": str(tmp_path / "cert.pem"),
    }
    bad = _run("check", "--folder", str(tmp_path / "no" / "data"), environment=environment)
    assert bad.exit_code == 2
    assert re.findall(r"^FIX (\w+)", bad.stdout, re.MULTILINE)[:3] == ["address", "tokens", "folder"]


def _create(url: str, content: bytes) -> None:
    body = json.dumps({"application": "job", "files": [new_file(content)]}).encode()
    request = urllib.request.Request(f"{url}/v1/namespaces/team-a/bundles", data=body, headers=JSON)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 201


def _put_head(content: bytes) -> bytes:
    fields = {"Host": "localhost", "Content-Length": str(len(content)), **BYTES}
    lines = [f"PUT /v1/namespaces/team-a/blobs/{digest_of(content)} HTTP/1.1"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode()


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def _wait(condition: object, *, seconds: float = 20) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(ConnectionError):
            if condition():
                return
        time.sleep(0.02)
    pytest.fail("the condition did not come true in time")
