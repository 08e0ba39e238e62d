"""Metrics and probes."""

import re
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.errors import Unavailable
from tests.staging_server.live import Live, eventually, live_server

_ROUTE = "/v1/namespaces/{namespace}/bundles/{bundle}/files/{kind}/{name}"


async def _metrics(live: Live) -> str:
    return (await live.call("GET", "/metrics")).body.decode()


def _value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def test_metrics_count_what_happened(tmp_path: Path) -> None:
    async with live_server(tmp_path, retention={"sweep_every": 0.1}) as live:
        made = await live.staged(b"content")
        await live.call("GET", f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar")
        await live.call("GET", "/nowhere/at/all")
        await live.call("POST", "/v1/sweeps", body={})

        async def measured() -> bool:
            return _value(await _metrics(live), "sparkstaging_stored_bytes") == 7

        # Counting may take a hundredth of the time only, so on a slow machine it is late.
        await eventually(measured, seconds=120)
        text = await _metrics(live)
        assert _value(text, "sparkstaging_bundles_created_total") == 1
        assert _value(text, 'sparkstaging_bundle_bytes_total{state="wanted"}') == 7
        assert _value(text, "sparkstaging_uploaded_bytes_total") == 7
        assert _value(text, "sparkstaging_downloaded_bytes_total") == 7
        assert _value(text, "sparkstaging_stored_bytes") == 7
        assert _value(text, "sparkstaging_uploads_in_flight") == 0
        assert _value(text, 'sparkstaging_refusals_total{code="not-found"}') == 1
        assert _value(text, "sparkstaging_sweep_last_success_timestamp_seconds") > 0
        labels = f'{{method="GET",route="{_ROUTE}",status="200"}}'
        assert _value(text, f"sparkstaging_request_duration_seconds_count{labels}") == 1
        assert 'sparkstaging_build_info{version="' in text
        assert 'le="1800.0"' in text


async def test_labels_never_hold_what_callers_choose(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged(b"content")
        for path in (f"/v1/namespaces/team-a/bundles/{made['id']}", "/secret-path", "/v1/namespaces/UPPER/bundles"):
            await live.call("GET", path)
        await live.call("PROPFIND", "/v1/info")
        text = await _metrics(live)
        assert 'route="/{path}"' in text
        assert not any(word in text for word in (made["id"], "secret-path", "UPPER", "PROPFIND", "team-a"))


async def test_probes_tell_alive_from_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_server(tmp_path) as live:
        assert (await live.call("GET", "/readyz")).body == b"ready\n"
        verbose = await live.call("GET", "/readyz?verbose")
        assert verbose.body.decode().splitlines() == ["[+]draining ok", "[+]database ok", "[+]blobs ok", "ready"]

        async def fail(*_: Any) -> Any:
            msg = "the database does not answer"
            raise Unavailable(msg)

        monkeypatch.setattr(live.server.state.parts.metadata, "read", fail)
        down = await live.call("GET", "/readyz")
        assert (down.status, b"[-]database the database does not answer" in down.body) == (503, True)
        assert (await live.call("GET", "/livez")).status == 200


async def test_a_draining_server_reads_on_but_takes_nothing_new(tmp_path: Path) -> None:
    async with live_server(tmp_path) as live:
        made = await live.staged()
        traffic = live.server.state.traffic
        traffic.draining = True
        assert (await live.call("GET", "/readyz")).status == 503
        create = await live.call("POST", "/v1/namespaces/team-a/bundles", body={"application": "job"})
        assert (create.status, create.json["code"], create.headers["Retry-After"]) == (503, "unavailable", "5")
        path = f"/v1/namespaces/team-a/bundles/{made['id']}/files/jar/a.jar"
        assert (await live.call("GET", path)).status == 200
        traffic.closed = True
        assert (await live.call("GET", path)).status == 503
        assert (await live.call("GET", "/livez")).status == 200
