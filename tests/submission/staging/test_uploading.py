"""Many files at once: the order, the connections, refusals that come early, TLS, and proxies."""

import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import stamina
import trustme

from staging_io.http import HttpClient, HttpSettings
from staging_io.staging import StagingClient
from staging_protocol.api.problem import Problem
from staging_protocol.digests import Digest
from staging_protocol.errors import BlobNotWanted, ExitCode, NoSpace
from staging_protocol.wire import encode
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import LoseAnswer, Place, Refuse, Reset, Rule, Stall, Way
from tests.submission.conftest import DEADLINE, Command, Server, ServerProcess

MIB: Final = 1024 * 1024
LARGE: Final = 8 * MIB + 1


@pytest.fixture
def proxy(fault_proxy: Callable[[str], FaultProxy], server: Server, command: Command) -> FaultProxy:
    """A proxy before the server, which the command uses."""
    state = fault_proxy(server.url)
    command.environment["SPARK_STAGING_URL"] = state.url
    return state


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Commands in this process try again without waiting."""
    with stamina.set_testing(True, attempts=3):
        yield


def staged(command: Command, *names: str) -> dict[str, Any]:
    result: dict[str, Any] = command.json("stage", "--files", ",".join(names))
    return result


def test_a_large_file_is_not_the_last_one(command: Command, proxy: FaultProxy) -> None:
    names = [command.file(f"{number:03}.bin", os.urandom(1000)).name for number in range(60)]
    names.append(command.file("zzz.bin", os.urandom(LARGE)).name)
    command.environment["SPARK_STAGING_UPLOADS"] = "2"

    staged(command, *names)

    begun = [one.path.rpartition("/")[0].rpartition("/")[2] for one in proxy.exchanges]
    assert "uploads" in begun[2:5], "after the create and the limits, and beside one batch at most"


def test_files_that_go_alone_go_over_few_kept_connections(command: Command, proxy: FaultProxy) -> None:
    names = [command.file(f"{number}.bin", os.urandom(MIB + 1)).name for number in range(12)]
    command.environment["SPARK_STAGING_UPLOADS"] = "4"

    result = staged(command, *names)

    assert result["requests"] == 1 + 1 + 12 + 1
    assert proxy.connections <= 4


def test_several_files_are_on_their_way_at_once(command: Command, proxy: FaultProxy) -> None:
    names = [command.file(f"{number}.bin", os.urandom(MIB + 1)).name for number in range(3)]
    names.append(command.file("large.bin", os.urandom(LARGE)).name)
    command.environment["SPARK_STAGING_UPLOADS"] = "4"
    stalled = Stall(Place(way=Way.UP, at=1000))
    proxy.plan(Rule(fault=stalled, method="PUT", times=3), Rule(fault=stalled, method="PATCH"))

    process = command.start("stage", "--files", ",".join(names))
    try:
        proxy.wait_until(lambda state: state.struck(Stall) == 4)
        proxy.plan()
        proxy.drop_connections()
        _, errors = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.communicate()

    assert process.returncode == 0, errors


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 8 * MIB])
def test_files_up_to_8_mib_are_one_request(command: Command, proxy: FaultProxy, size: int) -> None:
    command.file("a.bin", os.urandom(size))

    staged(command, "a.bin")

    sent = [(one.method, one.up) for one in proxy.exchanges if one.method in {"PUT", "PATCH"}]
    assert sent in ([("PUT", size)], []), "the empty file may be held already"


@pytest.mark.usefixtures("no_waits")
def test_a_small_file_is_sent_again_as_a_whole_and_progress_counts_it_once(command: Command, proxy: FaultProxy) -> None:
    command.file("a.bin", os.urandom(5 * MIB))
    proxy.plan(
        Rule(fault=Reset(Place(way=Way.UP, at=3 * MIB)), method="PUT"), Rule(fault=LoseAnswer(), method="PUT", skip=1)
    )

    done = command.inside("stage", "--files", "a.bin", "--progress", "json")

    assert done.returncode == 0, done.stderr
    assert proxy.struck() == 2
    assert '"done": 5242880, "size": 5242880' in done.stderr
    assert '"done": 5242881' not in done.stderr


@pytest.mark.parametrize(("size", "method"), [(7 * MIB, "PUT"), (LARGE, "PATCH")])
def test_a_refusal_that_comes_before_the_body_was_sent_is_understood(
    command: Command, proxy: FaultProxy, size: int, method: str
) -> None:
    command.file("a.bin", os.urandom(size))
    problem = Problem(
        type="about:blank", title=NoSpace.title, status=507, detail="the disk is full, really", code=NoSpace.code,
        retryable=False, request_id="1",
    )  # fmt: skip
    refusal = Refuse(status=507, body=encode(problem), content_type="application/problem+json", reads_body=False)
    proxy.plan(Rule(fault=refusal, method=method))

    done = command.inside("stage", "--files", "a.bin")

    assert (done.returncode, done.stdout) == (ExitCode.NO_SPACE, "")
    assert "the disk is full, really" in done.stderr
    assert "trying again" not in done.stderr


def unwanted(url: str, namespace: str, *, ca_file: Path | None = None) -> int:
    """Send 32 MiB that no bundle wants, which the server refuses before its bytes; return how many were not sent."""
    http_client = HttpClient(HttpSettings(ca_file=None if ca_file is None else str(ca_file)))
    client = StagingClient(url=url, token=None, http=http_client)
    parts = (memoryview(bytes(MIB)) for _ in range(32))
    try:
        with pytest.raises(BlobNotWanted):
            client.put_blob(namespace, Digest.of(b"another"), size=32 * MIB, content=parts)
        return sum(len(part) for part in parts)
    finally:
        http_client.close()


def test_a_server_that_does_not_want_the_bytes_says_so_before_they_are_sent(server: Server, namespace: str) -> None:
    assert unwanted(server.url, namespace) > 0


def test_files_go_over_tls_to_a_server_of_a_private_authority(tmp_path: Path, command: Command) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pair = authority.issue_cert("127.0.0.1")
    pair.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for part in pair.cert_chain_pems:
        part.write_to_path(str(tmp_path / "server.pem"), append=True)
    secure = ServerProcess(
        tmp_path,
        authority=tmp_path / "ca.pem",
        SPARK_STAGING_SERVER_AUTH__MODE="none",
        SPARK_STAGING_SERVER_TLS__CERTIFICATE_FILE=str(tmp_path / "server.pem"),
        SPARK_STAGING_SERVER_TLS__KEY_FILE=str(tmp_path / "key.pem"),
    )
    names = [command.file("large.bin", os.urandom(2 * LARGE)).name, command.file("small.bin", os.urandom(1000)).name]
    command.environment |= {"SPARK_STAGING_URL": secure.url, "SPARK_STAGING_RETRY_SECONDS": "0"}
    secure.start()
    try:
        distrusted = command.inside("stage", "--files", names[1])
        command.environment["SPARK_STAGING_CA_FILE"] = str(tmp_path / "ca.pem")
        result = staged(command, *names)
        again = staged(command, *names)
        unwanted(secure.url, "unwanted", ca_file=tmp_path / "ca.pem")
    finally:
        secure.stop()

    assert distrusted.returncode == ExitCode.UNAVAILABLE
    assert "certificate" in distrusted.stderr
    assert result["bytes_staged"] == 2 * LARGE + 1000
    assert (again["bytes_staged"], again["requests"]) == (0, 1)


class _Receiving(http.server.BaseHTTPRequestHandler):
    """A forward proxy that keeps what it is sent."""

    received: list[tuple[str, bytes]]

    def do_PUT(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_body_in_parts_goes_through_a_proxy_of_the_environment() -> None:
    received: list[tuple[str, bytes]] = []
    handler = type("Handler", (_Receiving,), {"received": received})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        client = HttpClient(HttpSettings(proxies={"http": f"http://127.0.0.1:{listener.server_port}"}))
        buffer = bytearray(b"one ")

        def parts() -> Iterator[memoryview]:
            yield memoryview(buffer)
            buffer[:] = b"two."
            yield memoryview(buffer)

        try:
            with client.open(
                "PUT", "http://staging.invalid/blob", body=parts(), headers={"Content-Length": "8"}
            ) as answer:
                assert answer.status == 201
        finally:
            client.close()
            listener.shutdown()
            thread.join()

    assert [(urlsplit(url).path, body) for url, body in received] == [("/blob", b"one two.")]


def test_uploads_need_neither_urllib3_nor_stamina(command: Command) -> None:
    command.file("a.bin", os.urandom(LARGE))
    program = (
        "import sys; from submission.cli import cli\n"
        "cli.main(args=['stage', '--files', 'a.bin'], standalone_mode=False)\n"
        "assert not {'urllib3', 'stamina'} & set(sys.modules)"
    )

    done = subprocess.run(
        [command.line()[0].replace("spark-staging", "python"), "-c", program],
        cwd=command.folder, env=command.environment, capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
