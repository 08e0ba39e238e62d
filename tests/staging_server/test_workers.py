"""Several processes behind one port: what each answers, what they count together, and what happens when one ends."""

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import secrets
import select
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
from click.testing import CliRunner
from sqlalchemy import Connection, text

from staging_protocol.errors import InvalidRequest, Unavailable
from staging_server.cli import main
from staging_server.logs import _pieces
from staging_server.metadata.store import DATABASE_FILE
from staging_server.metadata.threaded import ThreadedDatabase
from staging_server.metrics.folder import metrics_folder
from staging_server.settings import Settings, StorageSettings, settings_text
from staging_server.workers.reader_connection import is_for_readers
from tests.conftest import missing
from tests.staging_server import postgresql
from tests.staging_server.certificates import trusting, write_pair
from tests.staging_server.live import BYTES, access_token, digest_of, new_file
from tests.staging_server.served import Served, file_of, name_of, served, wait_until

_BIG = os.urandom(8 * 1024 * 1024)
_ID = "a" * 26
_BUNDLE = f"/v1/namespaces/team-a/bundles/{_ID}"


@pytest.fixture(scope="module", params=["plain", "tls"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server with two readers."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "plain":
        with served(folder, "--workers", "3") as running:
            yield running
        return
    authority = trustme.CA()
    write_pair(folder / "cert.pem", folder / "key.pem", authority=authority)
    with served(
        folder, "--workers", "3", tls=trusting(authority),
        TLS__CERTIFICATE_FILE=str(folder / "cert.pem"), TLS__KEY_FILE=str(folder / "key.pem"),
    ) as running:  # fmt: skip
        yield running


def _answered_by(server: Served, identifier: str) -> str:
    """Return the process that has logged a request: the name of a worker, or `first`."""
    found: list[str] = []

    def is_logged() -> bool:
        found.extend(line.get("process", "first") for line in server.logs() if line.get("request_id") == identifier)
        return bool(found)

    wait_until(is_logged)
    return found[0]


def _ask(server: Served, path: str, *, on: http.client.HTTPConnection | None = None, method: str = "GET") -> str:
    """Send a request that succeeds, and return which process answered."""
    identifier = secrets.token_hex(8)
    body = {"application": "job"} if method == "POST" else None
    answer = server.call(method, path, headers={"X-Request-ID": identifier}, on=on, body=body)
    assert answer.status < 300, answer.body
    return _answered_by(server, identifier)


@contextlib.contextmanager
def _at_a_reader(server: Served) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """Yield a connection that a reader has accepted, and its name."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = server.connect()
            stack.callback(connection.close)
            name = _ask(server, "/v1/info", on=connection)
            if name != "first":
                yield connection, name
                return
        pytest.fail("no reader accepted any of many connections")


def _spread(server: Served, path: str, *, over: int = 3, method: str = "GET") -> int:
    """Ask until every process has answered, and return how often."""
    found: set[str] = set()
    for count in range(1, 500):
        found.add(_ask(server, path, method=method))
        if len(found) == over:
            return count
    pytest.fail(f"only {found} answered")


def test_reads_are_answered_by_all_processes_and_everything_else_by_the_first(server: Served) -> None:
    made = server.stage(b"content")
    assert _spread(server, file_of(made)) >= 3
    for method, path in (("POST", "/v1/namespaces/team-a/bundles"), ("GET", "/v1/usage"), ("GET", "/v1/bundles")):
        assert {_ask(server, path, method=method) for _ in range(6)} == {"first"}


def test_a_connection_goes_to_the_first_process_with_its_first_other_request(server: Served) -> None:
    made = server.stage(_BIG)
    with _at_a_reader(server) as (connection, name):
        assert _ask(server, file_of(made), on=connection) == name
        assert _ask(server, "/v1/namespaces/team-a/bundles", on=connection, method="POST") == "first"
        # From now on it stays there, whatever is asked; large answers come through as well.
        assert server.call("GET", file_of(made), on=connection).body == _BIG
        assert _ask(server, file_of(made), on=connection) == "first"


def test_a_large_upload_on_a_connection_of_a_reader_is_whole(server: Served) -> None:
    content = os.urandom(24 * 1024 * 1024)
    base = "/v1/namespaces/team-a"
    made = server.call("POST", f"{base}/bundles", body={"application": "job", "files": [new_file(content)]}).json
    with _at_a_reader(server) as (connection, _):
        put = server.call("PUT", f"{base}/blobs/{digest_of(content)}", data=content, headers=BYTES, on=connection)
        assert (put.status, put.body) == (201, b"")
        assert server.call("POST", f"{base}/bundles/{made['id']}/seal", on=connection).status == 200
    assert hashlib.sha256(server.call("GET", file_of(made)).body).digest() == hashlib.sha256(content).digest()


def test_requests_that_are_sent_without_waiting_are_answered_in_their_order(server: Served) -> None:
    made = server.stage(_BIG)
    body = b'{"application":"job"}'
    get = f"GET {file_of(made)} HTTP/1.1\r\nHost: localhost\r\n".encode()
    post = b"POST /v1/namespaces/team-a/bundles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for _ in range(8):  # whoever accepts
        with contextlib.closing(server.raw()) as connection:
            last = get + b"Connection: close\r\n\r\n"
            connection.sendall((get + b"\r\n") * 2 + post + b"Content-Length: %d\r\n\r\n" % len(body) + body + last)
            answers = _until_closed(connection)
        statuses = [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"200", b"201", b"200"]
        assert answers.count(_BIG[:64]) == 3
        assert answers.endswith(_BIG)


def _until_closed(connection: socket.socket) -> bytes:
    received = bytearray()
    while more := connection.recv(1 << 20):
        received += more
    return bytes(received)


def test_the_first_process_knows_the_address_of_every_client(server: Served) -> None:
    with _at_a_reader(server) as (connection, _):
        identifier = secrets.token_hex(8)
        server.call("GET", "/v1/usage", on=connection, headers={"X-Request-ID": identifier})
        _answered_by(server, identifier)
        (line,) = (line for line in server.logs() if line.get("request_id") == identifier)
        assert line["address"] == "127.0.0.1"


def test_metrics_are_those_of_all_processes_whichever_is_asked(server: Served) -> None:
    made = server.stage(b"content")
    labels = '{method="GET",route="/v1/namespaces/{namespace}/bundles/{bundle}/files/{kind}/{name}",status="200"}'
    name = f"sparkstaging_request_duration_seconds_count{labels}"
    before, size = server.metric(name), server.metric("sparkstaging_downloaded_bytes_total")
    count = _spread(server, file_of(made))
    for _ in range(6):
        assert server.metric(name) == before + count
        assert server.metric("sparkstaging_downloaded_bytes_total") == size + count * len(b"content")
        assert server.metric("sparkstaging_stored_bytes") >= 0
    text = server.call("GET", "/metrics").body.decode()
    pids = {child.pid for child in (*server.children(), psutil.Process(server.process.pid))}
    assert all(f'process_resident_memory_bytes{{pid="{pid}"}}' in text for pid in pids)
    assert len(re.findall(r"^sparkstaging_stored_bytes ", text, re.MULTILINE)) == 1
    assert "sparkstaging_build_info{" in text


def test_reads_become_one_audit_row_whichever_processes_answered(server: Served) -> None:
    made = server.stage(b"content of an audited read")
    count = _spread(server, file_of(made))
    # A sweep writes what was counted; readers tell the first process once a second.
    rows: list[tuple[str, str]] = []

    def all_are_counted() -> bool:
        server.call("POST", "/v1/sweeps", body={})
        rows[:] = _audited(server, made["id"])
        return sum(int(detail.split()[0]) for _, detail in rows) == count

    wait_until(all_are_counted)
    assert {address for address, _ in rows} == {"127.0.0.1"}


def _audited(server: Served, bundle: str) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(server.log_file.parent / "data" / DATABASE_FILE)) as database:
        query = "SELECT address, detail FROM audit WHERE action = 'bundle.read' AND subject = ?"
        return list(database.execute(query, (bundle,)))


def test_a_deleted_bundle_is_refused_by_every_process_a_second_later(server: Served) -> None:
    made = server.stage(b"content")
    _spread(server, file_of(made))
    assert server.call("DELETE", f"/v1/namespaces/team-a/bundles/{made['id']}").status == 204

    def is_refused_by_all() -> bool:
        return {server.call("GET", file_of(made)).status for _ in range(30)} == {410}

    wait_until(is_refused_by_all)


def test_a_reader_that_is_killed_takes_only_its_own_connections_along_and_comes_back(server: Served) -> None:
    content = os.urandom(300_000)
    made = server.stage(content)
    failed: list[str] = []
    over = threading.Event()

    def read_on(connection: http.client.HTTPConnection) -> None:
        while not over.is_set():
            try:
                if server.call("GET", file_of(made), on=connection).body != content:
                    failed.append("other bytes")
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))

    with contextlib.ExitStack() as stack:
        victim, spared = _one_of_each(server, stack)
        counted = server.metric("sparkstaging_downloaded_bytes_total")
        threads = [threading.Thread(target=read_on, args=(connection,)) for connection in spared]
        for thread in threads:
            thread.start()
        try:
            child = next(child for child in server.children() if name_of(child) == victim)
            child.kill()
            wait_until(lambda: _is_replaced(child.pid, server))
            wait_until(lambda: _ready_twice(server, victim))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert failed == []
        assert server.metric("sparkstaging_downloaded_bytes_total") >= counted  # what it counted is still there
    assert any(line["event"] == "worker ended, it is started again" and line["code"] == -9 for line in server.logs())
    _spread(server, file_of(made))


def _is_replaced(killed: int, server: Served) -> bool:
    children = server.children()
    return killed not in {child.pid for child in children} and {name_of(child) for child in children} == {
        "reader-1",
        "reader-2",
    }


def _ready_twice(server: Served, worker: str) -> bool:
    lines = [line for line in server.logs() if line["event"] == "worker ready" and line["worker"] == worker]
    return len(lines) == 2


def _one_of_each(server: Served, stack: contextlib.ExitStack) -> tuple[str, list[http.client.HTTPConnection]]:
    """Return the name of a reader, and connections of all other processes."""
    found: dict[str, http.client.HTTPConnection] = {}
    for _ in range(300):
        connection = server.connect()
        stack.callback(connection.close)
        found.setdefault(_ask(server, "/v1/info", on=connection), connection)
        if len(found) == 3:
            return "reader-1", [found[name] for name in found if name != "reader-1"]
    pytest.fail(f"only {set(found)} accepted connections")


def test_ps_shows_which_process_is_which(server: Served) -> None:
    assert [name_of(child) for child in server.children()] == ["reader-1", "reader-2"]
    assert "--workers" in psutil.Process(server.process.pid).cmdline()


def test_readers_know_the_access_tokens_and_that_one_was_revoked(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    token = access_token(file, verbs=("create", "get", "delete", "list"))
    other = access_token(file, verbs=("get",))
    with served(
        tmp_path, "--workers", "2", "--tokens-file", str(file), token=token.text, AUTH__RELOAD_EVERY="0.1"
    ) as server:
        made = server.stage(b"content")
        for bearer, status in ((made["token"], 200), (other.text, 200), (None, 200)):
            assert {server.call("GET", file_of(made), token=bearer).status for _ in range(20)} == {status}
        assert {server.call("GET", file_of(made), token=made["token"][:-1] + "x").status for _ in range(20)} == {401}
        assert CliRunner().invoke(main, ["tokens", "revoke", "--file", str(file), other.id]).exit_code == 0

        def is_revoked_everywhere() -> bool:
            return {server.call("GET", file_of(made), token=other.text).status for _ in range(20)} == {401}

        wait_until(is_revoked_everywhere)


def test_a_refusal_by_a_reader_is_audited(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    token = access_token(file, verbs=("create", "get"))
    with served(tmp_path, "--workers", "2", "--tokens-file", str(file), token=token.text) as server:
        made = server.stage(b"content")
        with _at_a_reader(server) as (connection, name):
            wrong = f"/v1/namespaces/team-b/bundles/{made['id']}/manifest"
            fields = {"X-Request-ID": "refused-here"}
            assert server.call("GET", wrong, token=made["token"], headers=fields, on=connection).status == 404
            assert _answered_by(server, "refused-here") == name
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / DATABASE_FILE)) as database:
            query = "SELECT action, result FROM audit WHERE request_id = 'refused-here'"
            wait_until(lambda: database.execute(query).fetchall() == [("getManifest", "not-found")])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_without_the_first_process_the_others_leave_and_the_port_is_free(tmp_path: Path, how: signal.Signals) -> None:
    with served(tmp_path, "--workers", "3") as server:
        children = server.children()
        assert len(children) == 2
        server.process.send_signal(how)
        server.process.wait(20)
        _, left = psutil.wait_procs(children, timeout=10)
        assert left == []
        socket.create_server(("127.0.0.1", server.port)).close()  # nobody else listens there
        # The next server of the folder finds nothing in its way, and tidies up what the killed one left.
        with served(tmp_path, "--workers", "2") as again:
            assert again.call("GET", "/livez").status == 200


def test_what_runs_may_end_after_sigterm_in_every_process(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2") as server:
        made = server.stage(_BIG * 4)
        with contextlib.ExitStack() as stack:
            slow = [_begin_to_read(server, made, stack) for _ in range(12)]
            children = server.children()
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: sum(line["event"] == "shutting down" for line in server.logs()) == 2)
            for answer in slow:
                assert len(answer.read()) == len(_BIG) * 4
        assert server.process.wait(20) == 0
        _, left = psutil.wait_procs(children, timeout=10)
        assert left == []
        lines = [line for line in server.logs() if line.get("route", "").endswith("{name}")]
        assert {line.get("process", "first") for line in lines} == {"first", "reader-1"}


@contextlib.contextmanager
def _slow_to_start(folder: Path) -> Iterator[tuple[Served, psutil.Process, contextlib.ExitStack]]:
    """Yield a server, and its worker, which gets no further than the start of Python until the stack is closed."""
    gate = folder / "gate"
    gate.touch()
    script = f"import fcntl, sys\nif 'staging_server.workers' in sys.orig_argv: fcntl.flock(open({str(gate)!r}), 2)\n"
    (folder / "sitecustomize.py").write_text(script)
    path = os.pathsep.join((str(folder), str(Path(__file__).parents[2])))
    with contextlib.ExitStack() as stack:
        fcntl.flock(stack.enter_context(gate.open()), fcntl.LOCK_EX)
        with served(folder, "--workers", "2", variables={"PYTHONPATH": path}, all_ready=False) as server:
            wait_until(lambda: [name_of(child) for child in server.children()] == ["reader-1"])
            yield server, server.children()[0], stack


def test_nobody_waits_for_a_worker_that_is_slow_to_start_and_it_is_left_alone(tmp_path: Path) -> None:
    with _slow_to_start(tmp_path) as (server, worker, stack):
        made = server.stage(b"content")
        assert {_ask(server, file_of(made)) for _ in range(6)} == {"first"}
        assert not any(line["event"] == "worker ready" or line["level"] == "error" for line in server.logs())
        stack.close()
        wait_until(lambda: any(line["event"] == "worker ready" for line in server.logs()))
        assert [line["pid"] for line in server.logs() if line["event"] == "worker ready"] == [worker.pid]
        _spread(server, file_of(made), over=2)


def test_a_server_ends_in_order_while_a_worker_is_still_starting(tmp_path: Path) -> None:
    with _slow_to_start(tmp_path) as (server, worker, _):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        _, left = psutil.wait_procs([worker], timeout=10)
        assert left == []
        assert server.logs()[-1]["event"] == "stopped"
        assert not any(line["level"] == "error" for line in server.logs())


def test_a_second_signal_hurries_every_process(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2", TIMEOUTS__SHUTDOWN="600") as server:
        made = server.stage(_BIG * 4)
        with contextlib.ExitStack() as stack:
            for _ in range(12):
                _begin_to_read(server, made, stack)
            children = server.children()
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: sum(line["event"] == "shutting down" for line in server.logs()) == 2)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0
            _, left = psutil.wait_procs(children, timeout=10)
            assert left == []


def _begin_to_read(server: Served, made: Any, stack: contextlib.ExitStack) -> http.client.HTTPResponse:
    connection = server.connect()
    stack.callback(connection.close)
    connection.request("GET", file_of(made))
    answer = connection.getresponse()
    stack.callback(answer.close)
    assert answer.status == 200
    return answer


@pytest.mark.parametrize("count", ["0", "65", "1000", "-1", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(tmp_path: Path, count: str) -> None:
    for arguments, environment in ((["--workers", count], {}), ([], {"SPARK_STAGING_SERVER_WORKERS": count})):
        run = CliRunner().invoke(main, ["serve", "--folder", str(tmp_path / "data"), *arguments], env=environment)
        assert run.exit_code == 2
        assert "workers" in run.stderr
        assert "Traceback" not in run.stderr
    assert not (tmp_path / "data").exists()


async def test_the_database_of_a_reader_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a database?.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE t (a)")
    database = ThreadedDatabase(path, settings=StorageSettings(), read_only=True)

    def change(connection: Connection) -> list[None]:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        return [None]

    def count(connection: Connection, _: None) -> int:
        return int(connection.execute(text("SELECT count(*) FROM t")).scalar_one())

    with pytest.raises(Unavailable, match="readonly"):
        await database.transact(change)
    assert await database.read(count, None) == 0
    await database.close()


@pytest.mark.parametrize(
    ("head", "is_read"),
    [
        (f"GET {_BUNDLE}/manifest HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (f"HEAD {_BUNDLE}/files/jar/a.jar HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n", True),
        (f"GET {_BUNDLE}/files/jar/a%20b.jar?x=y HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (f"GET {_BUNDLE} HTTP/1.1\r\nHost: a\r\n\r\n", True),
        ("GET /v1/info HTTP/1.1\r\nHost: a\r\n\r\n", True),
        ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", False),
        ("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (f"GET {_BUNDLE}/explain HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (f"GET {_BUNDLE}/files/jar/a/b HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (f"GET http://a{_BUNDLE} HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (f"PUT {_BUNDLE}/owner HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (f"GET {_BUNDLE} HTTP/1.0\r\n\r\n", False),
        (f"GET {_BUNDLE} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", False),
        (f"GET {_BUNDLE} HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING : chunked\r\n\r\n", False),
        (f"GET {_BUNDLE} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", False),
        (f"GET  {_BUNDLE} HTTP/1.1\r\nHost: a\r\n\r\n", False),
        ("\x16\x03\x01", False),
    ],
)
def test_a_reader_takes_reads_without_a_body_and_nothing_else(head: str, *, is_read: bool) -> None:
    assert is_for_readers(head.encode("latin-1")) is is_read


def test_a_child_gets_all_settings_with_their_secrets() -> None:
    values = {"storage": {"database_url": "postgresql://u:hunter2@h/d"}, "workers": 3, "timeouts": {"stall": 1.5}}
    settings = Settings.model_validate(values)
    assert "hunter2" not in repr(settings)
    assert Settings.model_validate_json(settings_text(settings)) == settings


def test_the_numbers_of_all_processes_lie_in_a_private_folder_that_is_gone_afterwards(tmp_path: Path) -> None:
    with metrics_folder(tmp_path) as folder:
        assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o700, os.getuid())
        (folder / "left.db").write_text("by a server that was killed")
        with metrics_folder(tmp_path) as again:
            assert (again, list(again.iterdir())) == (folder, [])
        with metrics_folder(tmp_path / "other") as other:
            assert other != folder
    assert not folder.exists()


def test_a_link_in_place_of_the_folder_for_numbers_is_refused_and_not_followed(tmp_path: Path) -> None:
    with metrics_folder(tmp_path) as folder:
        pass
    (tmp_path / "precious").mkdir()
    folder.symlink_to(tmp_path / "precious")
    try:
        with pytest.raises(InvalidRequest, match="in the way"), metrics_folder(tmp_path):
            pass
        assert (tmp_path / "precious").is_dir()
    finally:
        folder.unlink()


@pytest.mark.services
def test_with_postgresql_every_process_is_a_full_server(tmp_path: Path) -> None:
    programs = postgresql.find_programs()
    if programs is None:
        missing("PostgreSQL's server is not installed (Debian: postgresql)")
        return
    with postgresql.running(programs) as url:
        database = url.render_as_string(hide_password=False)
        with served(tmp_path, "--workers", "2", STORAGE__DATABASE_URL=database) as server:
            assert [name_of(child) for child in server.children()] == ["server-1"]
            made = server.stage(_BIG)
            _spread(server, file_of(made), over=2)
            _spread(server, "/v1/usage", over=2)
            _spread(server, "/v1/namespaces/team-a/bundles", over=2, method="POST")
            created = server.metric("sparkstaging_bundles_created_total")
            assert {server.metric("sparkstaging_bundles_created_total") for _ in range(10)} == {created}
            assert created > 2


def test_the_lines_of_several_processes_do_not_mix() -> None:
    lines = [b"a" * size + b"\n" for size in (10, 4000, 200, 5000, 1, 4095, 3)]
    pieces = list(_pieces(b"".join(lines) + b"no end"))
    assert b"".join(pieces) == b"".join(lines) + b"no end"
    # A pipe keeps what is written at once in one piece up to PIPE_BUF; a line that is longer goes alone.
    assert all(len(piece) <= select.PIPE_BUF or piece.count(b"\n") == 1 for piece in pieces)
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])


def test_one_process_keeps_its_numbers_to_itself_whatever_the_environment_says(tmp_path: Path) -> None:
    # The variable is that of another program of the same person.
    with served(tmp_path, variables={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "missing")}) as server:
        assert server.metric("process_resident_memory_bytes") > 0
    assert not (tmp_path / "missing").exists()
