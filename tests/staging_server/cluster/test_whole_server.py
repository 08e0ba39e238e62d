"""A whole server that is connected to a real API server: a pod keeps its bundle, and its end ends it."""

import asyncio
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Connection, select

from staging_protocol.api.operators import Sweep
from staging_protocol.tokens import BundleId
from staging_server.audit import SWEEPER
from staging_server.metadata.tables import audit
from staging_server.retention.sights import Seen
from staging_server.tenants import Tenant
from staging_server.times import utc_now
from tests.conftest import missing
from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.staging_server.cluster.lab import Lab
from tests.staging_server.domain import MovableClock
from tests.staging_server.live import Live, eventually, live_server

_KEPT = 5
"""Bundles that pods use, four each."""

_PODS = 20

Calls = Counter[tuple[str, str, str]]
"""Verb, resource and whether it was another page than the first of a list."""


async def test_a_pod_keeps_its_bundle_and_its_end_ends_it_after_the_grace(
    lab: Lab, tenant: Tenant, tmp_path: Path
) -> None:
    clock = MovableClock(utc_now())
    kubernetes = lab.settings().model_dump()
    async with live_server(tmp_path, clock=clock, kubernetes=kubernetes, retention={"sweep_every": 0.1}) as live:
        bundle = BundleId((await live.staged(namespace=tenant.namespace))["id"])
        says = functools.partial(_says, live, tenant, bundle)
        await eventually(lambda: _shows(live, "sparkstaging_lead 1.0", 'sparkstaging_watch_known{kind="pods"} 1.0'))
        await asyncio.to_thread(lab.make_pod, tenant, "driver", bundle=bundle)
        await eventually(lambda: says("pod", "in use by pod driver", holds=True))
        # Counting may take a hundredth of the time only, so on a slow machine it is late.
        await eventually(lambda: _shows(live, 'sparkstaging_claims{kind="pod"} 1.0'), seconds=120)
        clock.move(days=30)  # however long it runs
        assert (await _sweep(live)).bundles == ()
        await asyncio.to_thread(lab.set_phase, tenant, "driver", "Succeeded")
        await eventually(lambda: says("grace", "the grace of 1 hour", holds=True))
        assert await says("pod", "its last pod has ended", holds=False)
        clock.move(minutes=59)
        assert (await _sweep(live)).bundles == ()
        assert await says("grace", "the grace of 1 hour", holds=True)
        clock.move(minutes=5)
        await eventually(lambda: _is_gone(live, tenant, bundle, clock))
        (row,) = await live.server.state.parts.metadata.read(_expired, None)
        assert (row.subject, row.namespace) == (bundle, tenant.namespace)
        assert "its last pod has ended" in row.detail
        await eventually(lambda: _shows(live, 'sparkstaging_claims{kind="pod"} 0.0'), seconds=120)


async def test_a_bundle_that_was_over_before_the_start_ends_as_soon_as_the_cluster_is_known(
    lab: Lab, tenant: Tenant, tmp_path: Path
) -> None:
    """The clock stands, so that nothing that is put off comes to its time."""
    clock = MovableClock(utc_now())
    kubernetes = lab.settings().model_dump()
    async with live_server(tmp_path, clock=clock, kubernetes=kubernetes, retention={"sweep_every": 3600}) as live:
        body = {"application": "job", "owner": {"api_version": "batch/v1", "kind": "Job", "name": "never"}}
        made = await live.call("POST", f"/v1/namespaces/{tenant.namespace}/bundles", body=body)
        bundle = BundleId(made.json["id"])
    clock.move(hours=2)
    async with live_server(tmp_path, clock=clock, kubernetes=kubernetes, retention={"sweep_every": 3600}) as live:
        path = f"/v1/namespaces/{tenant.namespace}/bundles/{bundle}"
        await eventually(lambda: _answers(live, path, 410), seconds=60)


async def _answers(live: Live, path: str, status: int) -> bool:
    return (await live.call("GET", path)).status == status


@pytest.fixture
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return an API server that nobody else asks."""
    try:
        with running_kube_api(audit=True) as kube:
            yield Lab(kube=kube, folder=tmp_path_factory.mktemp("quiet"))
    except KubeApiMissingError as error:
        missing(str(error))


async def test_sweeps_end_five_hundred_bundles_with_the_calls_that_ten_take(quiet: Lab, tmp_path: Path) -> None:
    of_ten = await _calls_of(quiet, tmp_path, due=10)
    assert await _calls_of(quiet, _folder(tmp_path, "more"), due=500) == of_ten
    # The first list, and one that confirms that nothing uses what has expired.
    assert of_ten["list", "pods", ""] == 2


def _folder(above: Path, name: str) -> Path:
    path = above / name
    path.mkdir()
    return path


async def _calls_of(lab: Lab, folder: Path, *, due: int) -> Calls:
    """Return the calls of a server in whose sweeps `due` bundles end, and others stay because of pods."""
    tenant, clock, before = lab.make_namespace(), MovableClock(utc_now()), len(lab.requests())
    kubernetes = lab.settings(look_every=3600).model_dump()
    async with live_server(folder, clock=clock, kubernetes=kubernetes, retention={"sweep_every": 3600}) as live:
        parts = live.server.state.parts
        bundles = [await live.staged(namespace=tenant.namespace) for _ in range(_KEPT + due)]
        kept = [BundleId(bundle["id"]) for bundle in bundles[:_KEPT]]
        for number in range(_PODS):
            await asyncio.to_thread(lab.make_pod, tenant, f"pod-{number}", bundle=kept[number % _KEPT])
        await eventually(lambda: sum(parts.sights.pods(tenant, bundle).count for bundle in kept) == _PODS)
        await _sweep(live)
        clock.move(hours=2)
        assert (await _sweep(live)).bundles == ()
        gone = BundleId(bundles[-1]["id"])
        await eventually(lambda: _is_listed(live, tenant, gone, clock))
        clock.move(seconds=1)  # it is looked at again a second later
        await _sweep(live)
        # The loop may have been first: it sweeps once more when the first lists are there.
        ended = {row.subject for row in await parts.metadata.read(_expired, None)}
        assert ended == {bundle["id"] for bundle in bundles[_KEPT:]}
    # What is watched is written when it ends.
    await eventually(lambda: _each_list_was_watched(_calls(lab, before)))
    return _calls(lab, before)


def _is_listed(live: Live, tenant: Tenant, bundle: BundleId, clock: MovableClock) -> bool:
    sight = live.server.state.parts.sights.pods(tenant, bundle)
    return sight.seen is Seen.ABSENT and sight.listed_at is not None and sight.listed_at >= clock.now


def _calls(lab: Lab, before: int) -> Calls:
    """Count what the server called, and not what the test and the API server did."""
    calls: Calls = Counter()
    for request in lab.requests()[before:]:
        if request["user"]["username"] == "admin" and request["verb"] != "create":
            query = parse_qs(urlsplit(request["requestURI"]).query)
            resource = request.get("objectRef", {}).get("resource", request["requestURI"])
            calls[request["verb"], resource, "more" if "continue" in query else ""] += 1
    return calls


def _each_list_was_watched(calls: Calls) -> bool:
    return all(calls["watch", kind, ""] == calls["list", kind, ""] for kind in ("pods", "namespaces"))


async def _says(live: Live, tenant: Tenant, bundle: BundleId, kind: str, said: str, *, holds: bool) -> bool:
    path = f"/v1/namespaces/{tenant.namespace}/bundles/{bundle}/explain"
    claims = (await live.call("GET", path)).json["claims"]
    return any((claim["kind"], claim["holds"]) == (kind, holds) and said in claim["detail"] for claim in claims)


async def _shows(live: Live, *lines: str) -> bool:
    text = (await live.call("GET", "/metrics")).body.decode().splitlines()
    return set(lines) <= set(text)


async def _sweep(live: Live) -> Sweep:
    return await live.server.state.parts.sweeper.sweep(dry_run=False, caller=SWEEPER)


async def _is_gone(live: Live, tenant: Tenant, bundle: BundleId, clock: MovableClock) -> bool:
    clock.move(seconds=1)  # what waits for a list is looked at again a second later
    return (await live.call("GET", f"/v1/namespaces/{tenant.namespace}/bundles/{bundle}")).status in {404, 410}


def _expired(connection: Connection, _nothing: None) -> Sequence[Any]:
    return connection.execute(select(audit).where(audit.c.action == "bundle.expire")).all()
