"""Bundles: created, sealed, read and listed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from staging_protocol.api.bundles import BundleState, Lease, Pin
from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.api.reports import Outcome, Report
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    BundleExpired,
    BundleNotSealed,
    DigestMismatch,
    FilesMissing,
    IdempotencyMismatch,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    RequestInProgress,
    StagingError,
    TargetCollision,
    TooLarge,
)
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_server.metadata.tables import audit, bundles, idempotency_keys, tenants
from staging_server.tenants import Caller, Tenant
from tests.staging_server.domain import ALICE, BLUE, PODS, RED, Domain, bundle_of, new_file, open_domain


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[Domain]:
    async with open_domain(tmp_path) as opened:
        yield opened


async def open_with(domain: Domain, bundle: BundleId, token: str, *, tenant: Tenant = RED) -> None:
    await domain.parts.bundles.open_with_token(tenant, bundle, Token.parse(token))


# --- create


async def test_a_file_that_the_tenant_does_not_hold_is_wanted(domain: Domain) -> None:
    created = await domain.create(b"one", b"two")
    assert created.files == ("wanted", "wanted")
    assert not created.sealed
    assert created.pods == PODS


async def test_an_unchanged_bundle_is_sealed_at_once(domain: Domain) -> None:
    await domain.stage(b"one", b"two")
    again = await domain.create(b"one", b"two")
    assert again.files == ("held", "held")
    assert again.sealed
    assert await domain.read(again) == b"one"


async def test_only_what_changed_is_wanted(domain: Domain) -> None:
    await domain.stage(b"one", b"two")
    assert (await domain.create(b"one", b"new")).files == ("held", "wanted")


async def test_a_bundle_without_files_is_sealed_at_once(domain: Domain) -> None:
    created = await domain.create()
    assert created.sealed
    assert (await domain.parts.bundles.manifest(RED, created.id)).entries == ()


async def test_another_tenant_has_to_bring_the_bytes(domain: Domain) -> None:
    await domain.stage(b"secret of red")
    created = await domain.create(b"secret of red", tenant=BLUE)
    assert created.files == ("wanted",)
    with pytest.raises(BundleNotSealed):
        await domain.read(created, tenant=BLUE)
    with pytest.raises(FilesMissing):
        await domain.parts.bundles.seal(BLUE, created.id, caller=ALICE)


async def test_a_recreated_namespace_is_a_new_tenant(domain: Domain) -> None:
    first, second = Tenant(namespace="ns", uid="1"), Tenant(namespace="ns", uid="2")
    created = await domain.stage(b"x", tenant=first)
    assert (await domain.create(b"x", tenant=second)).files == ("wanted",)
    with pytest.raises(NotFound):
        await domain.parts.bundles.get(second, created.id)


async def test_a_size_that_the_digest_cannot_have_is_refused(domain: Domain) -> None:
    await domain.stage(b"12345")
    lie = NewFile(kind=Kind.JAR, name=FileName("a.jar"), size=6, digest=Digest.of(b"12345"))
    with pytest.raises(DigestMismatch):
        await domain.create(body=NewBundle(application="app", files=(lie,)))


async def test_creates_that_come_together_are_all_right(domain: Domain) -> None:
    await domain.stage(b"shared")
    created = await asyncio.gather(*(domain.create(b"shared", str(number).encode()) for number in range(100)))
    assert {answer.files for answer in created} == {("held", "wanted")}
    assert len({answer.id for answer in created}) == 100
    usage = await domain.parts.overview.usage(RED)
    assert (usage.namespaces[0].bundles, usage.namespaces[0].reserved) == (101, 10 + 2 * 90)


async def test_one_bad_create_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"namespace_size": 100}) as domain:
        bodies = [b"a", b"b" * 200, b"c"]
        results = await asyncio.gather(*(domain.create(body) for body in bodies), return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["CreatedBundle", "QuotaExceeded", "CreatedBundle"]


@pytest.mark.parametrize(
    ("limit", "contents"),
    [({"file_size": 3}, (b"1234",)), ({"bundle_size": 5}, (b"123", b"456")), ({"files_per_bundle": 1}, (b"1", b"2"))],
)
async def test_what_is_over_a_limit_is_refused(
    tmp_path: Path, limit: dict[str, int], contents: tuple[bytes, ...]
) -> None:
    async with open_domain(tmp_path, limits=limit) as domain:
        with pytest.raises(TooLarge):
            await domain.create(*contents)
        assert await domain.count(bundles) == 0


async def test_a_namespace_has_only_so_many_bundles(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"bundles_per_namespace": 2}) as domain:
        first = await domain.create()
        await domain.create()
        with pytest.raises(QuotaExceeded):
            await domain.create()
        await domain.create(tenant=BLUE)
        await domain.parts.bundles.delete(RED, first.id, caller=ALICE)
        await domain.create()


# --- what a body may not say


def remote(uri: str, *, kind: Kind = Kind.JAR, target: str = "r.jar") -> ManifestEntry:
    return ManifestEntry(uri=uri, kind=kind, target=FileName(target))


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:password@host/a.jar",
        "https://bucket.s3.amazonaws.com/a.jar?X-Amz-Signature=abc",
        "/plain/path.jar",
        "file:///path.jar",
        "staged:///jar/a.jar",
    ],
)
async def test_a_remote_entry_with_a_secret_or_of_another_kind_is_refused(domain: Domain, uri: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await domain.create(remote=(remote(uri),))
    assert "password" not in refused.value.detail
    assert "abc" not in refused.value.detail


async def test_an_owner_of_an_unknown_kind_is_refused(domain: Domain) -> None:
    with pytest.raises(InvalidRequest):
        await domain.create(owner=OwnerReference(api_version="v1", kind="ConfigMap", name="x"))


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        ("a.jar", "a.jar", (Kind.JAR, Kind.JAR)),
        ("a.jar", "A.jar", (Kind.JAR, Kind.JAR)),
        ("env", "env", (Kind.FILE, Kind.ARCHIVE)),
    ],
)
async def test_two_files_with_one_target_are_refused_by_name(
    domain: Domain, first: str, second: str, kinds: tuple[Kind, Kind]
) -> None:
    files = (new_file(b"1", name=first, kind=kinds[0]), new_file(b"2", name=second, kind=kinds[1]))
    with pytest.raises(TargetCollision) as refused:
        await domain.create(body=NewBundle(application="app", files=files))
    assert f"{kinds[0]} staged:///{kinds[0]}/{first}" in refused.value.detail
    assert f"{kinds[1]} staged:///{kinds[1]}/{second}" in refused.value.detail


async def test_one_name_in_two_folders_is_fine(domain: Domain) -> None:
    files = (new_file(b"1", name="a.zip", kind=Kind.PYFILE), new_file(b"2", name="a.zip", kind=Kind.ARCHIVE))
    assert not (await domain.create(body=NewBundle(application="app", files=files))).sealed


async def test_a_remote_and_a_staged_entry_can_collide(domain: Domain) -> None:
    with pytest.raises(TargetCollision):
        await domain.create(b"x", remote=(remote("https://host/other.jar", target="0.jar"),))


# --- the manifest


async def test_the_manifest_has_remote_entries_first_and_then_staged_ones(domain: Domain) -> None:
    created = await domain.stage(b"one", b"two", remote=(remote("s3a://bucket/r.jar"),))
    manifest = await domain.parts.bundles.manifest(RED, created.id)
    assert [entry.uri for entry in manifest.entries] == [
        "s3a://bucket/r.jar", "staged:///jar/0.jar", "staged:///jar/1.jar",
    ]  # fmt: skip
    assert [entry.target for entry in manifest.entries] == ["r.jar", "0.jar", "1.jar"]
    assert manifest.digest() == created.manifest_digest
    assert Digest.of(await domain.parts.bundles.manifest_body(RED, created.id)) == created.manifest_digest


async def test_nothing_can_be_read_before_the_seal(domain: Domain) -> None:
    created = await domain.create(b"one", b"two")
    await domain.put(b"one")
    with pytest.raises(BundleNotSealed):
        await domain.parts.bundles.manifest(RED, created.id)
    with pytest.raises(BundleNotSealed):
        await domain.read(created)


async def test_a_seal_names_what_is_missing(domain: Domain) -> None:
    created = await domain.create(b"one", b"two", b"three")
    await domain.put(b"two")
    with pytest.raises(FilesMissing) as refused:
        await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert refused.value.missing == ("jar/0.jar", "jar/2.jar")


async def test_sealing_again_is_harmless(domain: Domain) -> None:
    created = await domain.stage(b"one")
    sealed = await domain.parts.bundles.seal(RED, created.id, caller=ALICE)
    assert sealed.manifest_digest == created.manifest_digest


async def test_a_file_that_the_bundle_does_not_have_is_not_found(domain: Domain) -> None:
    created = await domain.stage(b"one")
    with pytest.raises(NotFound):
        await domain.read(created, "other.jar")


# --- idempotency


async def test_a_replay_gives_the_same_bundle_and_voids_the_unused_token(domain: Domain) -> None:
    first = await domain.create(b"x", key="k")
    again = await domain.create(b"x", key="k")
    assert again.id == first.id
    assert again.files == first.files
    assert again.token != first.token
    await open_with(domain, again.id, again.token)
    with pytest.raises(NotFound):
        await open_with(domain, first.id, first.token)
    assert await domain.count(bundles) == 1


async def test_a_replay_leaves_a_token_that_was_used(domain: Domain) -> None:
    first = await domain.create(key="k")
    await open_with(domain, first.id, first.token)
    again = await domain.create(key="k")
    domain.clock.move(days=2)
    await open_with(domain, first.id, first.token)
    await open_with(domain, again.id, again.token)


async def test_a_replay_tells_what_is_still_wanted(domain: Domain) -> None:
    first = await domain.create(b"one", b"two", key="k")
    await domain.put(b"one")
    assert (await domain.create(b"one", b"two", key="k")).files == ("held", "wanted")
    await domain.put(b"two")
    await domain.parts.bundles.seal(RED, first.id, caller=ALICE)
    assert (await domain.create(b"one", b"two", key="k")).sealed


async def test_another_body_under_the_same_key_is_refused(domain: Domain) -> None:
    await domain.create(b"x", key="k", body_hash="1" * 64)
    with pytest.raises(IdempotencyMismatch):
        await domain.create(b"y", key="k", body_hash="2" * 64)


async def test_a_key_belongs_to_its_caller_and_tenant(domain: Domain) -> None:
    first = await domain.create(key="k")
    assert (await domain.create(key="k", tenant=BLUE)).id != first.id
    other = Caller(name="token:bob")
    body = bundle_of()
    bobs = await domain.parts.creation.create(RED, body, caller=other, idempotency_key="k", body_hash="0" * 64)
    assert bobs.id != first.id


async def test_a_request_that_still_runs_is_told(domain: Domain) -> None:
    results = await asyncio.gather(domain.create(key="k"), domain.create(key="k"), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["CreatedBundle", RequestInProgress.__name__]


async def test_a_key_is_forgotten_after_a_day(domain: Domain) -> None:
    first = await domain.create(key="k")
    domain.clock.move(days=1)
    await domain.sweep()
    assert await domain.count(idempotency_keys) == 0
    assert (await domain.create(key="k")).id != first.id


async def test_a_replay_of_an_ended_bundle_says_that_it_ended(domain: Domain) -> None:
    first = await domain.create(key="k")
    await domain.parts.bundles.delete(RED, first.id, caller=ALICE)
    with pytest.raises(BundleExpired):
        await domain.create(key="k")


# --- tokens


async def test_the_token_opens_its_bundle_and_no_other(domain: Domain) -> None:
    first, second = await domain.stage(b"1"), await domain.stage(b"2")
    await open_with(domain, first.id, first.token)
    with pytest.raises(NotFound):
        await open_with(domain, first.id, second.token)
    with pytest.raises(NotFound):
        await open_with(domain, first.id, first.token, tenant=BLUE)


async def test_an_unknown_bundle_and_a_wrong_token_look_the_same(domain: Domain) -> None:
    created, unknown = await domain.stage(b"1"), BundleId.generate()
    ended = await domain.stage(b"2")
    await domain.parts.bundles.delete(RED, ended.id, caller=ALICE)
    told: set[tuple[str, str]] = set()
    for bundle in (created.id, unknown, ended.id):
        wrong = Token.generate(TokenKind.BUNDLE, identifier=bundle)
        with pytest.raises(StagingError) as refused:
            await domain.parts.bundles.open_with_token(RED, bundle, wrong)
        told.add((refused.value.code, refused.value.detail))
    assert len(told) == 1


async def test_the_right_token_of_an_ended_bundle_learns_when_and_why(domain: Domain) -> None:
    created = await domain.stage(b"1")
    domain.clock.move(hours=1)
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    with pytest.raises(BundleExpired) as refused:
        await open_with(domain, created.id, created.token)
    assert refused.value.ended_at == domain.clock.now
    assert refused.value.reason == "deleted by token:alice"


async def test_an_old_token_stays_valid_for_the_overlap(domain: Domain) -> None:
    created = await domain.stage(b"1")
    new = await domain.parts.bundles.new_token(RED, created.id, caller=ALICE)
    await open_with(domain, created.id, new.token)
    await open_with(domain, created.id, created.token)
    domain.clock.move(minutes=10)
    with pytest.raises(NotFound):
        await open_with(domain, created.id, created.token)
    await open_with(domain, created.id, new.token)


async def test_no_secret_reaches_the_database(domain: Domain, tmp_path: Path) -> None:
    created = await domain.stage(b"1", key="idempotency-key-of-alice")
    new = await domain.parts.bundles.new_token(RED, created.id, caller=ALICE)
    written = await asyncio.to_thread(
        lambda: b"".join(path.read_bytes() for path in tmp_path.glob("metadata.sqlite3*"))
    )
    assert created.id.encode() in written
    for secret in (created.token, new.token):
        assert Token.parse(secret).secret.encode() not in written
    assert b"idempotency-key-of-alice" not in written


# --- lists, claims, reports


async def test_pages_go_through_all_bundles_once_newest_first(domain: Domain) -> None:
    made = [(await domain.create()).id for _ in range(7)]
    await domain.create(tenant=BLUE)
    seen: list[str] = []
    cursor = None
    while True:
        page = await domain.parts.overview.list(RED, cursor=cursor, limit=3)
        seen += [bundle.id for bundle in page.bundles]
        cursor = page.next
        if cursor is None:
            break
    assert seen == made[::-1]
    assert len((await domain.parts.overview.list(None, cursor=None, limit=100)).bundles) == 8


async def test_lists_can_be_filtered(domain: Domain) -> None:
    await domain.create(application="a")
    opened = await domain.create(b"wanted", application="b")
    by_name = await domain.parts.overview.list(RED, cursor=None, limit=10, application="b")
    by_state = await domain.parts.overview.list(None, cursor=None, limit=10, state=BundleState.OPEN)
    assert [bundle.id for bundle in by_name.bundles] == [bundle.id for bundle in by_state.bundles] == [opened.id]


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30, ""])
async def test_a_cursor_that_is_not_ours_is_refused(domain: Domain, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        await domain.parts.overview.list(RED, cursor=cursor, limit=10)


async def test_a_bundle_explains_its_claims(domain: Domain) -> None:
    created = await domain.stage(b"1", owner=OwnerReference(api_version="v1", kind="Pod", name="driver"))
    await domain.parts.bundles.pin(RED, created.id, Pin(reason="an audit"), caller=ALICE)
    explanation = await domain.parts.overview.explain(RED, created.id)
    held = {claim.kind: claim.holds for claim in explanation.claims}
    assert held == {"age": True, "time-to-live": True, "owner": False, "pin": True}
    assert "pinned without end: an audit" in explanation.verdict
    assert explanation.bundle.expires_at is None
    assert explanation.bundle.owner is not None


async def test_only_the_newest_reports_stay(tmp_path: Path) -> None:
    async with open_domain(tmp_path, limits={"reports_per_bundle": 3}) as domain:
        created = await domain.stage(b"1")
        for number in range(5):
            report = Report(outcome=Outcome.SUCCEEDED, role="driver", pod=f"pod-{number}", exit_code=0, seconds=1.0)
            await domain.parts.bundles.add_report(RED, created.id, report, caller=ALICE)
        explanation = await domain.parts.overview.explain(RED, created.id)
        assert [received.report.pod for received in explanation.reports] == ["pod-2", "pod-3", "pod-4"]


async def test_a_pin_in_the_past_and_an_endless_lease_are_refused(tmp_path: Path) -> None:
    async with open_domain(tmp_path, retention={"max_lease": 60}) as domain:
        created = await domain.stage(b"1")
        with pytest.raises(InvalidRequest):
            await domain.parts.bundles.pin(RED, created.id, Pin(reason="x", until=domain.clock.now), caller=ALICE)
        with pytest.raises(InvalidRequest):
            await domain.parts.bundles.lease(RED, created.id, Lease(seconds=61), caller=ALICE)


async def test_usage_counts_a_blob_once_for_the_namespace(domain: Domain) -> None:
    await domain.stage(b"12345")
    await domain.stage(b"12345")
    await domain.stage(b"12345", tenant=BLUE)
    usage = await domain.parts.overview.usage(None)
    assert [(one.namespace, one.bundles, one.bundle_size, one.blobs, one.blob_size) for one in usage.namespaces] == [
        ("blue", 1, 5, 1, 5), ("red", 2, 10, 1, 5),
    ]  # fmt: skip
    assert (usage.blobs, usage.stored_size) == (1, 5)


# --- audit and activity


async def test_each_change_has_its_audit_row(domain: Domain) -> None:
    created = await domain.stage(b"1")
    await domain.parts.bundles.delete(RED, created.id, caller=ALICE)
    rows = sorted(await domain.rows(audit), key=lambda row: row.number)
    assert [row.action for row in rows] == ["bundle.create", "blob.store", "bundle.seal", "bundle.delete"]
    assert {(row.caller, row.address, row.request_id, row.namespace, row.result) for row in rows} == {
        ("token:alice", "127.0.0.1", "request-1", "red", "done")
    }


async def test_reads_become_one_row_a_minute_and_renew_the_life(domain: Domain) -> None:
    created = await domain.stage(b"1")
    before = await domain.count(audit)
    domain.clock.move(days=3)
    for _ in range(100):
        await domain.parts.bundles.touch(RED, created.id, caller=ALICE, size=10)
    assert await domain.count(audit) == before
    domain.clock.move(minutes=1)
    await domain.parts.bundles.touch(RED, created.id, caller=ALICE, size=10)
    (read,) = [row for row in await domain.rows(audit) if row.action == "bundle.read"]
    assert read.detail == "101 requests, 1010 bytes"
    assert (await domain.parts.bundles.get(RED, created.id)).last_activity_at == domain.clock.now


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain:
        created = await domain.stage(b"1")
        opened = await domain.create(b"2", key="k")
    async with open_domain(tmp_path) as domain:
        assert await domain.read(created) == b"1"
        await open_with(domain, created.id, created.token)
        await domain.put(b"2")
        assert (await domain.create(b"2", key="k")).id == opened.id
        await domain.parts.bundles.seal(RED, opened.id, caller=ALICE)
        assert await domain.count(tenants) == 1
