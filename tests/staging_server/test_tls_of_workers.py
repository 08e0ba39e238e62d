"""Certificates with several processes behind one port: each of them takes a new pair, and no request fails."""

import contextlib
import http.client
import json
import secrets
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
import trustme

from tests.staging_server.certificates import MountedPair, trusting
from tests.staging_server.served import Served, file_of, served, wait_until

ALL: Final = {"first", "reader-1", "reader-2"}


@dataclass(frozen=True)
class Renewed:
    """A server with two readers, and the pair that it shows."""

    server: Served
    pair: MountedPair

    def shown_by(self, path: str) -> tuple[str, int]:
        """Return which process answers on a new connection, and the serial number of its certificate."""
        identifier = secrets.token_hex(8)
        connection = self.server.connect()
        with contextlib.closing(connection):
            connection.connect()
            assert isinstance(connection.sock, ssl.SSLSocket)
            shown = connection.sock.getpeercert() or {}
            answer = self.server.call("GET", path, on=connection, headers={"X-Request-ID": identifier})
            assert answer.status == 200
        lines: list[str] = []

        def is_logged() -> bool:
            text = self.server.log_file.read_text().rpartition("\n")[0]  # the last line may be half there
            lines.extend(line for line in text.splitlines() if identifier in line)
            return bool(lines)

        wait_until(is_logged)
        return json.loads(lines[0]).get("process", "first"), int(str(shown["serialNumber"]), 16)

    def wait_for(self, serial: int, path: str) -> None:
        """Wait until every process has shown the certificate."""
        seen: set[str] = set()

        def have_all() -> bool:
            process, shown = self.shown_by(path)
            # None goes back to an older one.
            assert shown == serial or process not in seen
            if shown == serial:
                seen.add(process)
            return seen == ALL

        wait_until(have_all)


@pytest.fixture(scope="module")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Renewed]:
    folder, authority = tmp_path_factory.mktemp("renewed"), trustme.CA()
    pair = MountedPair(folder / "secret", authority=authority)
    with served(
        folder, "--workers", "3", tls=trusting(authority), TLS__CERTIFICATE_FILE=str(pair.certificate),
        TLS__KEY_FILE=str(pair.key), TLS__RELOAD_EVERY="0.05",
    ) as running:  # fmt: skip
        yield Renewed(running, pair)


def test_every_process_takes_a_new_pair_and_no_request_fails(renewed: Renewed) -> None:
    path = file_of(renewed.server.stage(b"content"))
    over, failed = threading.Event(), list[str]()

    def read(connection: http.client.HTTPConnection | None) -> None:
        while not over.wait(0.01):  # beside the question who answers, which is what takes time here
            try:
                if renewed.server.call("GET", path, on=connection).body != b"content":
                    failed.append("other bytes")
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))

    with contextlib.closing(renewed.server.connect()) as kept:
        threads = [threading.Thread(target=read, args=(connection,)) for connection in (kept, None)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                renewed.wait_for(renewed.pair.replace(), path)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert failed == []


def test_a_pair_that_does_not_fit_is_taken_by_no_process_and_told_by_each(renewed: Renewed) -> None:
    path = file_of(renewed.server.stage(b"content"))
    old = renewed.shown_by(path)[1]
    good, other = renewed.pair.key.read_bytes(), trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes()
    key = renewed.pair.key.resolve()
    key.write_bytes(other)

    def told_by() -> set[str]:
        lines = [line for line in renewed.server.logs() if line["event"].startswith("certificate not reloaded")]
        return {line.get("process", "first") for line in lines}

    wait_until(lambda: told_by() == ALL)
    renewed.wait_for(old, path)
    key.write_bytes(good)
    renewed.wait_for(renewed.pair.replace(), path)
