"""The sweep: what goes, what stays, and that it may be cut short or doubled."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from staging_protocol.api.bundles import Lease, Pin
from staging_protocol.api.operators import Sweep
from staging_protocol.digests import Digest
from staging_protocol.errors import BundleExpired, NotFound, Unavailable
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import Token
from staging_protocol.uploads import UploadId
from staging_server.audit import Audit
from staging_server.blobs.base import BlobKey
from staging_server.metadata import leases
from staging_server.metadata.base import one_by_one
from staging_server.metadata.leases import SweepLease
from staging_server.metadata.tables import audit, blobs, bundle_files, bundles, tenant_blobs, tombstones, uploads
from staging_server.observer import Silent
from staging_server.retention.lead import Lead
from staging_server.retention.sweeper import Sweeper
from staging_server.tenants import Caller
from staging_server.times import micros
from tests.staging_server.domain import ALICE, BLUE, RED, Domain, open_domain

WEEK = timedelta(days=7)


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[Domain]:
    async with open_domain(tmp_path) as opened:
        yield opened


async def test_an_idle_bundle_expires_with_a_reason(domain: Domain) -> None:
    created = await domain.stage(b"12345")
    domain.clock.move(days=7)
    swept = await domain.sweep()
    (ended,) = swept.bundles
    assert (ended.id, ended.namespace, ended.size) == (created.id, "red", 5)
    assert "time to live of 7 days" in ended.reason
    with pytest.raises(BundleExpired) as refused:
        await domain.parts.bundles.open_with_token(RED, created.id, Token.parse(created.token))
    assert refused.value.reason == ended.reason
    (row,) = [row for row in await domain.rows(audit) if row.action == "bundle.expire"]
    assert "5 bytes" in row.detail


async def test_a_bundle_that_never_was_sealed_expires_and_gives_its_reservation_back(domain: Domain) -> None:
    await domain.create(b"never comes")
    domain.clock.move(days=7)
    await domain.sweep()
    (usage,) = (await domain.parts.overview.usage(RED)).namespaces
    assert (usage.bundles, usage.bundle_size, usage.reserved) == (0, 0, 0)
    assert await domain.count(blobs) == 0


async def test_reads_that_only_memory_knows_of_keep_a_bundle(domain: Domain) -> None:
    created = await domain.stage(b"1")
    domain.clock.move(days=6)
    await domain.parts.bundles.touch(RED, created.id)
    domain.clock.move(days=6)
    assert (await domain.sweep()).bundles == ()
    domain.clock.move(days=1)
    assert len((await domain.sweep()).bundles) == 1


@pytest.mark.parametrize("claim", ["pin", "lease", "long"])
async def test_a_claim_keeps_a_bundle_to_its_end(domain: Domain, claim: str) -> None:
    created = await domain.stage(b"1", time_to_live=8 * 86400 if claim == "long" else None)
    domain.clock.move(days=6, hours=12)
    if claim == "pin":
        pin = Pin(reason="audit", until=domain.clock.now + timedelta(days=1, hours=12))
        await domain.parts.bundles.pin(RED, created.id, pin, caller=ALICE)
    if claim == "lease":
        await domain.parts.bundles.lease(RED, created.id, Lease(seconds=86400), caller=ALICE)
    domain.clock.move(hours=13)
    assert (await domain.sweep()).bundles == ()
    domain.clock.move(days=1)
    assert len((await domain.sweep()).bundles) == 1


async def test_a_pin_without_end_holds_until_it_is_taken_away(domain: Domain) -> None:
    created = await domain.stage(b"1")
    await domain.parts.bundles.pin(RED, created.id, Pin(reason="audit"), caller=ALICE)
    domain.clock.move(days=400)
    assert (await domain.sweep()).bundles == ()
    await domain.parts.bundles.unpin(RED, created.id, caller=ALICE)
    assert len((await domain.sweep()).bundles) == 1


async def test_without_kubernetes_an_owner_keeps_nothing(domain: Domain) -> None:
    created = await domain.stage(b"1")
    owner = OwnerReference(api_version="v1", kind="Pod", name="driver")
    assert (await domain.parts.bundles.bind(RED, created.id, owner, caller=ALICE)).owner == owner
    domain.clock.move(days=7)
    assert len((await domain.sweep()).bundles) == 1


# --- blobs


async def test_a_blob_stays_held_for_its_tenant_after_its_bundle(domain: Domain) -> None:
    created = await domain.stage(b"nightly")
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    domain.clock.move(days=6, hours=23)
    await domain.sweep()
    assert (await domain.create(b"nightly")).files == ("held",)


async def test_an_unused_blob_goes_after_its_keep_and_its_grace(domain: Domain) -> None:
    created = await domain.stage(b"unused")
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    domain.clock.move(days=7)
    assert (await domain.sweep()).blobs == ()
    assert await domain.count(tenant_blobs) == 0
    assert len(await domain.stored_files()) == 1
    domain.clock.move(days=1, seconds=1)
    swept = await domain.sweep()
    assert [(blob.digest, blob.size) for blob in swept.blobs] == [(Digest.of(b"unused"), 6)]
    assert swept.freed == 6
    assert await domain.stored_files() == []
    assert await domain.count(blobs) == 0
    (row,) = [row for row in await domain.rows(audit) if row.action == "blob.delete"]
    assert row.detail == (
        "6 bytes freed: no namespace keeps it since 2026-03-08 12:00:00Z: "
        "unused for as long as its last one keeps blobs"
    )


async def test_a_blob_that_one_tenant_still_uses_stays(domain: Domain) -> None:
    mine = await domain.stage(b"shared")
    yours = await domain.stage(b"shared", tenant=BLUE)
    await domain.parts.bundles.pin(BLUE, yours.id, Pin(reason="keep"), caller=ALICE)
    await domain.parts.bundles.delete(RED, mine.id, caller=ALICE)
    for _ in range(5):
        domain.clock.move(days=8)
        await domain.sweep()
    assert await domain.read(yours, tenant=BLUE) == b"shared"
    assert [row.tenant_id for row in await domain.rows(tenant_blobs)] == [2]


async def test_a_long_lived_bundle_keeps_its_blobs_held(domain: Domain) -> None:
    created = await domain.stage(b"used")
    await domain.parts.bundles.pin(RED, created.id, Pin(reason="keep"), caller=ALICE)
    domain.clock.move(days=100)
    await domain.sweep()
    # Its use is written, so that the next sweeps do not look at it again.
    assert [row.last_used for row in await domain.rows(tenant_blobs)] == [micros(domain.clock.now)]
    assert (await domain.create(b"used")).files == ("held",)


async def test_a_blob_that_was_given_up_is_wanted_again_and_comes_back(domain: Domain) -> None:
    created = await domain.stage(b"back")
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    domain.clock.move(days=7)
    await domain.sweep()
    again = await domain.stage(b"back")
    assert again.files == ("wanted",)
    domain.clock.move(days=2)
    assert (await domain.sweep()).blobs == ()
    assert await domain.read(again) == b"back"


# --- dry runs, doubles, crashes


async def everything(domain: Domain) -> list[Sequence[Any]]:
    tables = (bundles, bundle_files, blobs, tenant_blobs, tombstones, audit, uploads)
    return [await domain.rows(table) for table in tables] + [await domain.stored_files()]


async def test_a_dry_run_says_what_goes_and_changes_nothing(domain: Domain) -> None:
    gone = await domain.stage(b"given up")
    await domain.parts.bundles.delete(RED, gone.id, caller=ALICE)
    domain.clock.move(days=7)
    await domain.sweep()
    await domain.stage(b"expires")
    domain.clock.move(days=7)
    before = await everything(domain)
    foreseen = await domain.sweep(dry_run=True)
    assert await everything(domain) == before
    done = await domain.sweep()
    assert foreseen.dry_run
    assert (foreseen.bundles, foreseen.blobs, foreseen.freed) == (done.bundles, done.blobs, done.freed)
    assert len(done.bundles) == len(done.blobs) == 1


async def test_two_sweeps_at_once_are_harmless(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as one, open_domain(tmp_path, clock=one.clock) as other:
        for number in range(20):
            await one.stage(f"content {number}".encode())
        one.clock.move(days=7)
        results = await asyncio.gather(one.sweep(), other.sweep(), return_exceptions=True)
        for result in results:
            assert isinstance(result, (Sweep, Unavailable))
        ended = [bundle.id for result in results if isinstance(result, Sweep) for bundle in result.bundles]
        assert len(ended) == len(set(ended)) == 20
        (usage,) = (await one.parts.overview.usage(RED)).namespaces
        assert (usage.bundles, usage.bundle_size) == (0, 0)


async def test_a_sweep_that_lost_its_lease_deletes_nothing(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    created = await domain.stage(b"1")
    domain.clock.move(days=7)

    def stolen(connection: Connection, lease: SweepLease) -> bool:
        connection.execute(text("DELETE FROM leases"))
        connection.execute(text("INSERT INTO leases VALUES ('sweep', 'thief', 9223372036854775807)"))
        return True

    monkeypatch.setattr("staging_server.retention.sweeper._take", one_by_one(stolen))
    with pytest.raises(Unavailable, match="lost its lease"):
        await domain.sweep()
    assert (await domain.parts.bundles.get(RED, created.id)).id == created.id


async def test_only_one_holder_has_the_lease_until_it_ends(domain: Domain) -> None:
    take, give_back = one_by_one(leases.take), one_by_one(leases.give_back)
    write = domain.parts.metadata.write
    assert await write(take, SweepLease("one"))
    assert await write(take, SweepLease("one"))
    assert not await write(take, SweepLease("two"))
    with pytest.raises(Unavailable, match="another process is sweeping"):
        await domain.sweep()
    await write(give_back, SweepLease("two"))
    assert not await write(take, SweepLease("two"))
    await write(give_back, SweepLease("one"))
    assert await write(take, SweepLease("two"))


async def test_a_deletion_that_was_cut_short_is_finished(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    created = await domain.stage(b"half gone")
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    domain.clock.move(days=7)
    await domain.sweep()
    domain.clock.move(days=2)

    async def killed(_key: BlobKey) -> None:
        raise Unavailable("the process died here")

    with monkeypatch.context() as patched:
        patched.setattr(domain.parts.blobs, "remove", killed)
        with pytest.raises(Unavailable, match="died"):
            await domain.sweep()
    assert [row.state for row in await domain.rows(blobs)] == ["deleting"]
    assert len((await domain.sweep()).blobs) == 1
    assert await domain.stored_files() == []


async def test_what_a_crash_left_is_cleaned_up(domain: Domain) -> None:
    """Before the rename: bytes under uploads.  After it: bytes under a key that only the upload's row names."""
    await domain.create(b"content")
    upload = UploadId.generate()
    key = BlobKey.of(Digest.of(b"content"), upload=upload)
    half, whole = domain.folder / "uploads" / UploadId.generate(), domain.folder / key

    def crash() -> None:
        half.write_bytes(b"con")
        os.utime(half, (0, 0))
        whole.write_bytes(b"content")

    await asyncio.to_thread(crash)
    await domain.parts.metadata.write(one_by_one(_left_row), (upload, key))
    domain.clock.move(days=1)
    await domain.sweep()
    assert await domain.upload_files() == []
    assert await domain.stored_files() == []
    assert await domain.count(uploads) == 0


async def test_a_file_that_no_row_names_is_swept_and_a_blob_is_not(domain: Domain) -> None:
    created = await domain.stage(b"named")
    stray = domain.folder / BlobKey.of(Digest.of(b"stray"), upload=UploadId.generate())

    def leave() -> None:
        stray.write_bytes(b"stray")
        for path in (domain.folder / "sha256").rglob("*.*"):
            os.utime(path, (0, 0))

    await asyncio.to_thread(leave)
    await domain.parts.sweeper.leftovers.remove_strays(folders=256)
    assert len(await domain.stored_files()) == 1
    assert await domain.read(created) == b"named"


async def test_tombstones_and_audit_rows_go_after_their_time(domain: Domain) -> None:
    created = await domain.stage(b"1")
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    domain.clock.move(days=29)
    await domain.sweep()
    assert await domain.count(tombstones) == 1
    domain.clock.move(days=1)
    await domain.sweep()
    assert await domain.count(tombstones) == 0
    with pytest.raises(NotFound):
        await domain.parts.bundles.open_with_token(RED, created.id, Token.parse(created.token))
    assert await domain.count(audit) > 0
    domain.clock.move(days=90)
    await domain.sweep()
    assert {row.at for row in await domain.rows(audit)} == {micros(domain.clock.now)}


async def test_wrong_counts_are_put_right(domain: Domain) -> None:
    await domain.stage(b"12345")
    await domain.create(b"wanted")
    before = (await domain.parts.overview.usage(RED)).namespaces
    await domain.parts.metadata.write(one_by_one(_spoil), None)
    assert (await domain.parts.overview.usage(RED)).namespaces != before
    await domain.sweep()
    assert (await domain.parts.overview.usage(RED)).namespaces == before


async def test_how_late_the_sweep_is_is_told_until_it_has_swept(domain: Domain) -> None:
    await domain.stage(b"12345")
    assert await domain.parts.overview.overdue() == 0
    domain.clock.move(days=7, minutes=20)
    assert await domain.parts.overview.overdue() == 1200
    await domain.sweep()
    assert await domain.parts.overview.overdue() == 0


async def test_what_a_sweep_ends_and_frees_is_told_to_the_metrics(domain: Domain) -> None:
    told: list[tuple[object, ...]] = []

    class Telling(Silent):
        def bundle_ended(self, *, reason: str) -> None:
            told.append((reason,))

        def blob_removed(self, *, size: int, reason: str) -> None:
            told.append((size, reason))

    parts = domain.parts
    sweeper = Sweeper(
        metadata=parts.metadata, blobs=parts.blobs, activity=parts.bundles.activity, readers=parts.bundles.readers,
        settings=parts.settings, clock=domain.clock, observer=Telling(),
    )  # fmt: skip
    await domain.stage(b"unused")
    for moved in (timedelta(days=7), timedelta(days=7, seconds=1), timedelta(days=1, seconds=1)):
        domain.clock.move(seconds=moved.total_seconds())
        await sweeper.sweep(dry_run=False, caller=ALICE)

    assert told == [("expired",), (6, "keep")]


async def test_the_loop_survives_every_failure(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0
    swept = asyncio.Event()

    class Counting(Silent):
        def sweep_failed(self) -> None:
            nonlocal failures
            failures += 1

        def sweep_done(self, **_measured: float) -> None:
            swept.set()

    parts = domain.parts
    sweeper = Sweeper(
        metadata=parts.metadata, blobs=parts.blobs, activity=parts.bundles.activity, readers=parts.bundles.readers,
        settings=parts.settings, clock=domain.clock, observer=Counting(),
    )  # fmt: skip

    async def broken() -> None:
        if failures < 3:
            raise ZeroDivisionError

    monkeypatch.setattr(parts.bundles.activity, "flush", broken)
    lead = Lead(metadata=parts.metadata, sweeper=sweeper, sights=parts.sights, sweep_every=0.001)
    loop = asyncio.create_task(lead.run())
    async with asyncio.timeout(30):
        await swept.wait()
    loop.cancel()
    assert sweeper.last_success == domain.clock.now
    assert failures == 3


async def test_a_sweep_looks_at_what_is_due_by_an_index(domain: Domain) -> None:
    """The cost of a sweep must grow with what expires, not with what there is."""
    statements = (
        "SELECT * FROM bundles WHERE next_check <= 1 ORDER BY next_check LIMIT 5",
        "SELECT * FROM blobs WHERE unused_since < 1 AND state = 'stored' ORDER BY unused_since LIMIT 5",
        "SELECT min(next_check) FROM bundles WHERE next_check IS NOT NULL",
        "SELECT count(*) FROM bundles WHERE lease_until > 1",
        "SELECT * FROM blobs WHERE blobs.state != 'stored' AND state = 'deleting' LIMIT 5",
        "SELECT * FROM tenant_blobs WHERE tenant_id = 1 AND last_used <= 1 ORDER BY last_used LIMIT 5",
        "SELECT min(last_used) FROM tenant_blobs WHERE tenant_id = 1",
        "SELECT * FROM sightings WHERE sightings.claimed AND bundle > 1 ORDER BY bundle LIMIT 5",
        "SELECT * FROM sightings WHERE owner_key IN ('x', 'y')",
        "SELECT * FROM uploads WHERE started_at <= 1 AND state IS NULL ORDER BY started_at LIMIT 5",
        "SELECT * FROM uploads WHERE last_activity_at <= 1 AND state != 'ended' ORDER BY last_activity_at LIMIT 5",
        "SELECT * FROM uploads WHERE state = 'ended' LIMIT 5",
        "SELECT id FROM tombstones WHERE ended_at <= 1 ORDER BY ended_at LIMIT 5",
        "SELECT number FROM audit WHERE at <= 1 ORDER BY at LIMIT 5",
    )
    for statement in statements:
        plan = await domain.parts.metadata.read(_plan, statement)
        assert "USING" in plan, plan
        assert "INDEX" in plan, plan
        assert "TEMP B-TREE" not in plan, plan


async def test_what_was_put_off_is_found_by_when_it_is_looked_at(domain: Domain) -> None:
    plan = await domain.parts.metadata.read(
        _plan, "SELECT * FROM bundles WHERE next_check <= 1 AND +bundles.number > 1 ORDER BY +bundles.number LIMIT 5"
    )
    assert "INDEX ix_bundles_next_check" in plan


async def test_refusals_are_written_but_not_without_bound(domain: Domain) -> None:
    refusals = Audit(metadata=domain.parts.metadata, clock=domain.clock)
    for _ in range(100):
        await refusals.refused("bundle.get", caller=ALICE, code="not-found", namespace="red", subject="x")
    assert await domain.count(audit) == 20
    assert "not written" in (await domain.rows(audit))[-1].detail
    domain.clock.move(minutes=1)
    await refusals.refused("bundle.get", caller=ALICE, code="not-found")
    assert await domain.count(audit) == 21


async def test_a_crowd_of_addresses_does_not_write_without_bound_either(domain: Domain) -> None:
    refusals = Audit(metadata=domain.parts.metadata, clock=domain.clock)
    for number in range(1001):
        caller = Caller(name="anonymous", address=f"10.0.{number // 256}.{number % 256}")
        await refusals.refused("bundle.get", caller=caller, code="not-found")
    assert await domain.count(audit) == 1000
    domain.clock.move(minutes=1)
    await refusals.refused("bundle.get", caller=caller, code="not-found")
    assert await domain.count(audit) == 1001


def _left_row(connection: Connection, left: tuple[UploadId, BlobKey]) -> None:
    upload, key = left
    statement = text(
        "INSERT INTO uploads (id, tenant_id, digest, key, started_at) SELECT :id, id, :digest, :key, 0 FROM tenants"
    )
    connection.execute(statement, {"id": str(upload), "digest": str(key.digest), "key": str(key)})


def _spoil(connection: Connection, _nothing: None) -> None:
    connection.execute(text("UPDATE tenants SET bundles = 77, bundle_size = 7, blobs = 7, blob_size = 7, reserved = 7"))


def _plan(connection: Connection, statement: str) -> str:
    return "; ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}")))
