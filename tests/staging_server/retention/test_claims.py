"""Bundles that Kubernetes claims: swept by what the watch of this process knows, and explained in words."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from staging_protocol.api.bundles import Lease, Pin
from staging_protocol.api.claims import Claim
from staging_protocol.api.creation import CreatedBundle
from staging_protocol.owners import OwnerReference
from staging_server.metadata import looks
from staging_server.metadata.tables import audit, bundles
from staging_server.retention.sights import UNKNOWN
from staging_server.tenants import Tenant
from tests.staging_server.domain import ALICE, Domain, MovableClock, open_domain
from tests.staging_server.retention.world import Cluster, Watch

APP = OwnerReference(api_version="sparkoperator.k8s.io/v1beta2", kind="SparkApplication", name="nightly")
NOW = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A domain whose sweeper watches a cluster."""

    domain: Domain
    cluster: Cluster
    watch: Watch

    @property
    def tenant(self) -> Tenant:
        return self.cluster.tenant("red")

    async def stage(self, *, owner: OwnerReference | None = None) -> CreatedBundle:
        return await self.domain.stage(b"1", tenant=self.tenant, owner=owner)

    async def sweep(self) -> list[str]:
        """Hear of everything, and sweep; return the reasons of what ended."""
        self.watch.deliver()
        return [bundle.reason for bundle in (await self.domain.sweep()).bundles]

    async def sweep_for(self, minutes: int) -> list[str]:
        """Sweep once a minute."""
        ended = []
        for _ in range(minutes):
            self.domain.clock.move(minutes=1)
            self.watch.time_passed(timedelta(minutes=1), stale=NOW)
            ended += await self.sweep()
        return ended

    async def claim(self, bundle: CreatedBundle, kind: str) -> Claim:
        explained = await self.domain.parts.overview.explain(self.tenant, bundle.id)
        (claim,) = [claim for claim in explained.claims if claim.kind == kind]
        return claim


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    clock = MovableClock()
    cluster = Cluster(clock, namespaces=["red"])
    watch = Watch(cluster)
    watch.list(stale=NOW)
    retention = {"time_to_live": 3600}
    async with open_domain(tmp_path, clock=clock, sights=watch, retention=retention) as domain:
        yield Place(domain=domain, cluster=cluster, watch=watch)


async def test_a_pod_keeps_a_bundle_longer_than_its_time_to_live(place: Place) -> None:
    bundle = await place.stage()
    place.cluster.start_pod("red", bundle.id)
    await place.sweep()
    place.domain.clock.move(days=30)
    assert await place.sweep_for(5) == []
    claim = await place.claim(bundle, "pod")
    assert claim.holds
    assert claim.detail.startswith("in use by pod pod-")
    # Only an event brings it back: the sweep does not look at what lives.
    assert [row.next_check for row in await place.domain.rows(bundles)] == [None]


async def test_a_deleted_pod_is_missed_first_then_confirmed_then_forgiven_for_an_hour(place: Place) -> None:
    bundle = await place.stage()
    place.cluster.start_pod("red", bundle.id)
    await place.sweep()
    place.domain.clock.move(days=1)
    (pod,) = place.cluster.now.pods
    place.cluster.delete_pod(pod)
    await place.sweep()
    claim = await place.claim(bundle, "pod")
    assert claim.holds
    assert claim.detail == (
        "its last pod is absent since 2026-03-02 12:00:00Z, "
        "and its absence must be confirmed by a list after 2026-03-02 12:01:00Z"
    )
    assert await place.sweep_for(3) == []
    grace = await place.claim(bundle, "grace")
    assert grace.holds
    assert "1 hour after the last owner or pod ended at 2026-03-02 12:00:00Z" in grace.detail
    place.domain.clock.move(hours=1)
    (reason,) = await place.sweep_for(4)
    assert "its last pod has ended at 2026-03-02 12:00:00Z" in reason
    (row,) = [row for row in await place.domain.rows(audit) if row.action == "bundle.expire"]
    assert row.detail == f"{reason} (1 byte in 1 file given up)"


async def test_an_owner_that_is_named_before_it_exists_is_learned_and_its_successor_is_another_one(
    place: Place,
) -> None:
    bundle = await place.stage(owner=APP)
    await place.sweep()
    assert (await place.claim(bundle, "owner")).detail == "SparkApplication/nightly has not appeared yet"
    place.cluster.start_owner("red", APP)
    await place.sweep()
    place.domain.clock.move(days=2)
    assert await place.sweep_for(3) == []
    assert (await place.claim(bundle, "owner")).detail == "SparkApplication/nightly lives"
    # Deleted and made anew under its name: that of the next day.
    place.cluster.start_owner("red", APP)
    await place.sweep()
    assert (await place.claim(bundle, "owner")).detail.startswith("SparkApplication/nightly is absent since")
    await place.sweep_for(3)
    place.domain.clock.move(hours=1)
    assert len(await place.sweep_for(4)) == 1


async def test_a_finished_owner_starts_the_grace_at_its_end(place: Place) -> None:
    bundle = await place.stage(owner=APP)
    place.cluster.start_owner("red", APP)
    await place.sweep()
    place.domain.clock.move(hours=3)
    place.cluster.finish_owner(("red", APP))
    place.domain.clock.move(minutes=30)
    assert await place.sweep() == []
    assert (await place.claim(bundle, "grace")).until == place.domain.clock.now + timedelta(minutes=30)
    place.domain.clock.move(minutes=30)
    assert len(await place.sweep_for(4)) == 1


async def test_what_kubernetes_does_not_answer_keeps_and_costs_nothing_for_what_it_claims(place: Place) -> None:
    claimed, other = await place.stage(), await place.stage()
    place.cluster.start_pod("red", claimed.id)
    await place.sweep()
    place.watch.break_()
    place.domain.clock.move(days=10)
    assert await place.sweep_for(3) == []
    assert "it was there at" in (await place.claim(claimed, "pod")).detail
    assert (await place.claim(other, "pod")).detail == "it is not known whether a pod uses it, and unknown keeps"
    checks = {row.id: row.next_check for row in await place.domain.rows(bundles)}
    assert checks[claimed.id] is None
    assert checks[other.id] is not None
    place.watch.list(stale=NOW)
    place.domain.clock.move(minutes=5)
    assert len(await place.sweep_for(4)) == 1


async def test_what_ended_while_nobody_watched_is_found_by_the_next_list(place: Place) -> None:
    bundle = await place.stage()
    place.cluster.start_pod("red", bundle.id)
    await place.sweep()
    place.watch.break_()
    (pod,) = place.cluster.now.pods
    place.cluster.delete_pod(pod)
    place.domain.clock.move(minutes=30)
    place.watch.list(stale=NOW)
    assert await place.sweep_for(3) == []
    place.domain.clock.move(hours=1)
    assert len(await place.sweep_for(4)) == 1


async def test_a_stale_list_does_not_end_a_bundle_with_a_young_pod(place: Place) -> None:
    bundle = await place.stage()
    place.domain.clock.move(seconds=3570)
    place.watch.break_()
    place.cluster.start_pod("red", bundle.id)
    place.domain.clock.move(seconds=40)
    place.watch.list(stale=timedelta(seconds=50))
    assert (await place.domain.sweep()).bundles == ()
    claim = await place.claim(bundle, "confirmation")
    assert claim.detail == "that nothing uses it must be confirmed by a list after 2026-03-01 13:01:00Z"
    assert await place.sweep_for(3) == []
    assert (await place.claim(bundle, "pod")).holds


async def test_a_recreated_namespace_keeps_nothing_of_the_old_one(place: Place) -> None:
    old = place.tenant
    bundle = await place.stage()
    place.cluster.start_pod("red", bundle.id)
    await place.sweep()
    place.cluster.recreate_namespace("red")
    place.cluster.start_pod("red", bundle.id)
    place.domain.clock.move(days=1)
    await place.sweep_for(3)
    place.domain.clock.move(hours=1)
    assert len(await place.sweep_for(4)) == 1
    assert old != place.tenant


async def test_the_deleting_transaction_looks_at_that_moment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = await place.stage()
    place.domain.clock.move(hours=1, minutes=2)
    place.watch.list(stale=NOW)
    found = looks.find_soon  # after a new list, also what is due soon

    def late(connection, item):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as `find_soon`
        candidates = found(connection, item)
        if not place.cluster.now.pods:
            place.cluster.start_pod("red", bundle.id)
            place.watch.deliver()
        return candidates

    monkeypatch.setattr(looks, "find_soon", late)
    assert (await place.domain.sweep()).bundles == ()
    monkeypatch.undo()
    assert (await place.claim(bundle, "pod")).holds


async def test_a_dry_run_tells_what_waits_for_a_list(place: Place) -> None:
    await place.stage()
    place.domain.clock.move(hours=1)
    (foreseen,) = (await place.domain.sweep(dry_run=True)).bundles
    assert "time to live of 1 hour" in foreseen.reason
    assert "must be confirmed by a list after" in foreseen.reason


async def test_after_a_restart_stored_claims_hold_until_the_watch_has_listed(tmp_path: Path) -> None:
    clock = MovableClock()
    cluster = Cluster(clock, namespaces=["red"])
    watch = Watch(cluster)
    watch.list(stale=NOW)
    async with open_domain(tmp_path, clock=clock, sights=watch) as domain:
        bundle = await domain.stage(b"1", tenant=cluster.tenant("red"))
        cluster.start_pod("red", bundle.id)
        watch.deliver()
        await domain.sweep()
    clock.move(days=30)
    again = Watch(cluster)
    async with open_domain(tmp_path, clock=clock, sights=again) as domain:
        assert (await domain.sweep()).bundles == ()
        again.list(stale=NOW)
        assert (await domain.sweep()).bundles == ()
    async with open_domain(tmp_path, clock=clock, sights=UNKNOWN) as beside:
        assert (await beside.sweep()).bundles == ()


async def test_a_new_owner_is_looked_at_at_once(place: Place) -> None:
    bundle = await place.stage()
    place.cluster.start_owner("red", APP)
    await place.sweep()
    await place.domain.parts.bundles.bind(place.tenant, bundle.id, APP, caller=ALICE)
    await place.sweep()
    place.domain.clock.move(days=1)
    assert await place.sweep_for(2) == []


async def test_what_keeps_bundles_is_counted_by_kind(place: Place) -> None:
    started = await place.stage()
    finished = await place.stage()
    await place.stage(owner=APP)
    leased = await place.stage()
    pinned = await place.stage()
    await place.stage()
    bundles_of_domain, tenant = place.domain.parts.bundles, place.tenant
    await bundles_of_domain.lease(tenant, leased.id, Lease(seconds=3600), caller=ALICE)
    await bundles_of_domain.pin(tenant, pinned.id, Pin(reason="held"), caller=ALICE)
    place.cluster.start_owner("red", APP)
    for bundle in (started, finished):
        place.cluster.start_pod("red", bundle.id)
    await place.sweep()
    (pod,) = [uid for uid, pod in place.cluster.now.pods.items() if pod.bundle == finished.id]
    place.cluster.finish_pod(pod)
    await place.sweep_for(3)

    counts = await place.domain.parts.overview.claims()

    assert {kind: counts[kind] for kind in ("owner", "pod", "grace", "lease", "pin")} == {
        "owner": 1, "pod": 1, "grace": 1, "lease": 1, "pin": 1,
    }  # fmt: skip
