"""TLS of the server: its certificate, replaced while it serves; and clients that speak something else."""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from staging_protocol.errors import InvalidRequest
from staging_server.connections.certificates import end_of_certificate
from staging_server.connections.tls import check_tls, server_context
from staging_server.sending import encrypted as encrypted_send
from staging_server.settings import TlsSettings
from tests.staging_server.certificates import MountedPair, trusting, write_pair
from tests.staging_server.live import Live, eventually, live_server

_REPLACEMENTS = 20
_CLIENTS = 8


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pair(tmp_path: Path, authority: trustme.CA) -> MountedPair:
    return MountedPair(tmp_path / "secret", authority=authority)


@contextlib.asynccontextmanager
async def _live(folder: Path, authority: trustme.CA, tls: Any, **settings: Any) -> AsyncIterator[Live]:
    """A server with TLS, and a session that trusts its authority."""
    async with live_server(folder, tls=tls, **settings) as live:
        await live.session.close()
        connector = aiohttp.TCPConnector(ssl=trusting(authority), limit=0)
        async with aiohttp.ClientSession(connector=connector) as live.session:
            yield live


async def _serial(live: Live, context: ssl.SSLContext) -> int:
    """Return the serial number that a new connection is shown."""
    _, writer = await asyncio.open_connection(live.host, live.port, ssl=context)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return int(certificate["serialNumber"], 16)


async def _metric(live: Live, name: str) -> float:
    text = (await live.call("GET", "/metrics")).body.decode()
    found = re.search(rf"^sparkstaging_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


async def test_no_request_fails_while_the_pair_is_replaced_again_and_again(
    tmp_path: Path, authority: trustme.CA, pair: MountedPair
) -> None:
    async with _live(tmp_path, authority, pair.settings) as live:
        made = await live.staged(b"content")
        path = f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar"
        context, over, answered = trusting(authority), asyncio.Event(), [0, 0]

        async def read(session: aiohttp.ClientSession, kind: int, **headers: str) -> None:
            while not over.is_set():
                async with session.get(f"{live.server.url}{path}", headers=headers) as answer:
                    assert (answer.status, await answer.read()) == (200, b"content")
                answered[kind] += 1

        async with asyncio.TaskGroup() as readers:
            for number in range(_CLIENTS):
                # Half of them keep their connection, half make a new one for each request.
                kind = number % 2
                readers.create_task(read(live.session, kind, **({"Connection": "close"} if kind else {})))
            for _ in range(_REPLACEMENTS):
                serial = await asyncio.to_thread(pair.replace)
                before = answered.copy()

                async def is_taken(serial: int = serial) -> bool:
                    return await _serial(live, context) == serial

                await eventually(is_taken)
                await eventually(lambda before=before: all(a > b for a, b in zip(answered, before, strict=True)))
            over.set()
        assert await _metric(live, "tls_reload_failures_total") == 0


async def test_running_connections_go_on_with_the_certificate_that_they_began_with(
    tmp_path: Path, authority: trustme.CA, pair: MountedPair
) -> None:
    async with _live(tmp_path, authority, pair.settings) as live:
        context = trusting(authority)
        reader, writer = await asyncio.open_connection(live.host, live.port, ssl=context)
        serial = await asyncio.to_thread(pair.replace)

        async def is_taken() -> bool:
            return await _serial(live, context) == serial

        await eventually(is_taken)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_half_replaced_pair_changes_nothing_and_is_taken_once_it_is_whole(
    tmp_path: Path, authority: trustme.CA
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    old = write_pair(certificate, key, authority=authority)
    tls = {"certificate_file": certificate, "key_file": key, "reload_every": 0.02}
    async with _live(tmp_path, authority, tls) as live:
        context = trusting(authority)
        new = await asyncio.to_thread(_write, tmp_path / "new.pem", tmp_path / "new.key", authority)
        await asyncio.to_thread((tmp_path / "new.pem").replace, certificate)

        async def is_refused() -> bool:
            return await _metric(live, "tls_reload_failures_total") == 1

        await eventually(is_refused)
        assert await _serial(live, context) == old
        await eventually(lambda: "the key is not that of the certificate" in live.logs())
        await asyncio.to_thread((tmp_path / "new.key").replace, key)

        async def is_taken() -> bool:
            return await _serial(live, context) == new

        await eventually(is_taken)
        assert await _metric(live, "tls_reload_failures_total") == 1


@pytest.mark.parametrize("broken", ["empty", "garbage", "missing", "of another key"])
async def test_files_that_cannot_be_used_leave_the_old_pair_in_use_and_are_told_once(
    tmp_path: Path, authority: trustme.CA, broken: str
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    old = write_pair(certificate, key, authority=authority)
    tls = {"certificate_file": certificate, "key_file": key, "reload_every": 0.02}
    async with _live(tmp_path, authority, tls) as live:
        await asyncio.to_thread(_break, broken, certificate, key, authority)

        async def is_refused() -> bool:
            return await _metric(live, "tls_reload_failures_total") >= 1

        await eventually(is_refused)
        assert await _serial(live, trusting(authority)) == old
        new = await asyncio.to_thread(_write, certificate, key, authority)

        async def is_whole_again() -> bool:
            return await _serial(live, trusting(authority)) == new

        await eventually(is_whole_again)
        lines = [line for line in live.logs().splitlines() if "certificate not reloaded" in line]
        assert 1 <= len(lines) <= 3  # the two files are written one after the other


def _write(certificate: Path, key: Path, authority: trustme.CA) -> int:
    return write_pair(certificate, key, authority=authority)


def _break(how: str, certificate: Path, key: Path, authority: trustme.CA) -> None:
    match how:
        case "empty":
            certificate.write_bytes(b"")
        case "garbage":
            key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        case "missing":
            key.unlink()
        case _:
            write_pair(certificate, certificate.with_name("unused.pem"), authority=authority)


async def test_metrics_tell_when_the_certificate_in_use_ends(
    tmp_path: Path, authority: trustme.CA, pair: MountedPair
) -> None:
    name = "tls_certificate_expiry_timestamp_seconds"
    async with _live(tmp_path, authority, pair.settings) as live:
        in_90_days = (datetime.now(UTC) + timedelta(days=90)).timestamp()
        assert abs(await _metric(live, name) - in_90_days) < 600
        await asyncio.to_thread(pair.replace, lasts=timedelta(days=3))
        in_3_days = (datetime.now(UTC) + timedelta(days=3)).timestamp()

        async def is_known() -> bool:
            return abs(await _metric(live, name) - in_3_days) < 600

        await eventually(is_known)


async def test_clients_that_connect_and_say_nothing_or_plain_http_are_let_go(
    tmp_path: Path, authority: trustme.CA, pair: MountedPair
) -> None:
    async with _live(tmp_path, authority, pair.settings, timeouts={"handshake": 0.3}) as live:
        async with live.raw() as (silent, _), live.raw() as (plain, writer):
            writer.write(b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for reader in (silent, plain):
                with contextlib.suppress(ConnectionError):
                    assert not (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP")
            assert (await live.call("GET", "/livez")).status == 200
        assert await _metric(live, 'connections_closed_total{reason="handshake"}') == 2
        await eventually(lambda: "HTTP_REQUEST" in live.logs())
        assert "Traceback" not in live.logs()


async def test_it_speaks_http_1_1_over_tls_1_2_and_newer_and_nothing_older(
    tmp_path: Path, authority: trustme.CA, pair: MountedPair
) -> None:
    async with _live(tmp_path, authority, pair.settings) as live:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(authority)
            context.minimum_version = context.maximum_version = version
            context.set_alpn_protocols(["h2", "http/1.1"])
            _, writer = await asyncio.open_connection(live.host, live.port, ssl=context)
            session = writer.get_extra_info("ssl_object")
            assert (session.version(), session.selected_alpn_protocol()) == (version.name.replace("_", "."), "http/1.1")
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        old = trusting(authority)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):  # noqa: PT011 - how it is told depends on who closes first; the log says why
            await asyncio.open_connection(live.host, live.port, ssl=old)
        await eventually(lambda: "UNSUPPORTED_PROTOCOL" in live.logs())


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
async def test_large_files_arrive_whole_over_tls_however_slowly_they_are_read(
    tmp_path: Path, authority: trustme.CA, pair: MountedPair, monkeypatch: pytest.MonkeyPatch, *, is_cold: bool
) -> None:
    if is_cold:
        monkeypatch.setattr(encrypted_send, "_read_now", lambda *_: None)
    content = os.urandom(24 * 1024 * 1024 + 5)
    async with _live(tmp_path, authority, pair.settings) as live:
        made = await live.staged(content)
        url = f"{live.server.url}/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar"
        async with live.session.get(url) as answer:
            received = bytearray(await answer.content.readexactly(1000))
            # The server fills every buffer on the way, and has to keep what is not encrypted yet.
            await eventually(lambda: live.server.state.traffic.in_flight == 1)
            while more := await answer.content.read(50_000):
                received += more
        assert received == content
        part = await live.call("GET", url.removeprefix(live.server.url), headers={"Range": "bytes=200000-9000000"})
        assert (part.status, part.body == content[200_000:9_000_001]) == (206, True)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(
    tmp_path: Path, authority: trustme.CA
) -> None:
    write_pair(tmp_path / "cert.pem", tmp_path / "key.pem", authority=authority)
    key = serialization.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    with pytest.raises(InvalidRequest, match="has a password"):
        server_context(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_a_certificate_without_its_key_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"both tls\.certificate_file and tls\.key_file"):
        check_tls(TlsSettings(certificate_file=tmp_path / "cert.pem"))


@pytest.mark.parametrize("year", [2049, 2050])
def test_the_end_of_a_certificate_is_read_in_both_forms_of_time(authority: trustme.CA, year: int) -> None:
    end = datetime(year, 5, 6, 7, 8, 9, tzinfo=UTC)
    pem = authority.issue_cert("localhost", not_after=end).cert_chain_pems[0].bytes().decode()
    assert end_of_certificate(f"a comment\n{pem}\nmore") == end


@pytest.mark.parametrize("pem", ["", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_end(pem: str) -> None:
    with pytest.raises(InvalidRequest, match="no certificate"):
        end_of_certificate(pem)
