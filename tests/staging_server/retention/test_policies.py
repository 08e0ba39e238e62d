"""Policies for namespaces: rules, defaults, what is refused, what changes them, and what a change would do."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from staging_protocol.errors import InvalidRequest
from staging_server.observer import Silent
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.policies import Policy, parse_policies, policy_of, time_to_live_of
from staging_server.retention.policy_diff import Effect, policy_diff
from staging_server.settings import Settings
from staging_server.tenants import Tenant
from tests.staging_server.domain import ALICE, RED, open_domain

HOUR = timedelta(hours=1)
BASE = Policy(time_to_live=HOUR, max_time_to_live=24 * HOUR, min_age=HOUR / 60, quota=1000)
FILE = """
[defaults]
grace = 60

[[rules]]
namespaces = ["nightly"]
blob_keep = 3600
quota = "none"

[[rules]]
namespaces = ["team-*", "night*"]
time_to_live = 7200
grace = 120
"""


def test_the_first_rule_that_fits_wins_and_the_rest_comes_from_defaults_and_settings() -> None:
    policies = parse_policies(FILE, base=BASE, name="policies.toml")
    nightly, team, other = (policies.of(name) for name in ("nightly", "team-a", "other"))
    assert (nightly.blob_keep, nightly.quota, nightly.time_to_live) == (HOUR, None, HOUR)
    assert (team.time_to_live, team.grace, team.quota) == (2 * HOUR, timedelta(minutes=2), 1000)
    assert (other.time_to_live, other.grace) == (HOUR, timedelta(minutes=1))


def test_a_value_says_who_gave_it() -> None:
    policies = parse_policies(FILE, base=BASE, name="policies.toml")
    assert policies.of("team-a").words_of("time_to_live") == (
        "2 hours (by rule 2 of the policies file, for team-*, night*)"
    )
    assert policies.of("nightly").words_of("grace") == "1 minute (by the defaults of the policies file)"
    assert policies.of("nightly").words_of("time_to_live") == "1 hour"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[defaults", "not TOML"),
        ("[defaults]\ntime_to_live = -1", "defaults.time_to_live"),
        ("[defaults]\ngarce = 1", "garce"),
        ("[defaults]\ntime_to_live = 1e12", "defaults.time_to_live"),
        ("[[rules]]\ngrace = 1", "namespaces"),
        ("[[rules]]\nnamespaces = []", "namespaces"),
        ('[[rules]]\nnamespaces = ["A b"]', "namespaces"),
        ('[[rules]]\nnamespaces = ["a"]\nquota = "much"', "quota"),
        ("[defaults]\ntime_to_live = 90000", "more than max_time_to_live"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=r"policies\.toml") as refused:
        parse_policies(text, base=BASE, name="policies.toml")
    assert said in refused.value.detail


def test_the_time_to_live_is_short_where_kubernetes_says_who_uses_a_bundle() -> None:
    assert time_to_live_of(Settings()) == 7 * 86400
    assert time_to_live_of(Settings(kubernetes={"connect": "in-cluster"})) == 3600  # type: ignore[arg-type]
    assert policy_of(Settings(retention={"time_to_live": 60})).time_to_live == timedelta(minutes=1)  # type: ignore[arg-type]


async def test_a_changed_file_is_read_again_and_an_invalid_one_changes_nothing(tmp_path: Path) -> None:
    refused = asyncio.Event()

    class Counting(Silent):
        def policies_refused(self) -> None:
            loop.call_soon_threadsafe(refused.set)

    loop = asyncio.get_running_loop()
    path = tmp_path / "policies.toml"
    path.write_text("[defaults]\ngrace = 60\n")
    settings = Settings(retention={"policies_file": path, "reload_every": 0.001})  # type: ignore[arg-type]
    policies = await asyncio.to_thread(KnownPolicies, settings, observer=Counting())
    watching = asyncio.create_task(policies.watch())
    path.write_text("[defaults]\ngrace = 120\n")
    async with asyncio.timeout(30):
        while policies.of("any").grace != timedelta(minutes=2):  # noqa: ASYNC110 - a file is read by a thread
            await asyncio.sleep(0.001)
    path.write_text("[defaults\n")
    async with asyncio.timeout(30):
        await refused.wait()
    watching.cancel()
    assert policies.of("any").grace == timedelta(minutes=2)


async def test_a_namespace_lives_by_its_own_policy(tmp_path: Path) -> None:
    path = tmp_path / "policies.toml"
    path.write_text('[[rules]]\nnamespaces = ["red"]\ntime_to_live = 3600\nblob_keep = 60\nmax_lease = 5\nquota = 8\n')
    retention = {"policies_file": path, "blob_grace": 0}
    async with open_domain(tmp_path / "data", retention=retention) as domain:
        red = await domain.stage(b"red")
        blue = await domain.stage(b"blue", tenant=Tenant(namespace="blue"))
        explained = await domain.parts.overview.explain(RED, red.id)
        assert any("1 hour (by rule 1 of the policies file, for red)" in claim.detail for claim in explained.claims)
        (usage,) = (await domain.parts.overview.usage(RED)).namespaces
        assert usage.quota == 8
        domain.clock.move(hours=1)
        assert [bundle.id for bundle in (await domain.sweep()).bundles] == [red.id]
        domain.clock.move(minutes=2)
        await domain.sweep()
        domain.clock.move(seconds=1)
        assert [blob.size for blob in (await domain.sweep()).blobs] == [3]
        assert await domain.read(blue, tenant=Tenant(namespace="blue")) == b"blue"


async def test_a_stricter_policy_counts_from_the_next_sweep_on(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain:
        created = await domain.stage(b"1")
        await domain.sweep()
        domain.clock.move(hours=2)
        assert (await domain.sweep()).bundles == ()
        domain.parts.policies.now = parse_policies("[defaults]\ntime_to_live = 3600", base=BASE, name="new")
        assert [bundle.id for bundle in (await domain.sweep()).bundles] == [created.id]


async def test_a_bundle_that_was_made_by_who_knew_the_stricter_policy_later_ends_by_it_within_an_hour(
    tmp_path: Path,
) -> None:
    async with open_domain(tmp_path) as domain:
        loose = domain.parts.policies.now
        strict = parse_policies("[defaults]\ntime_to_live = 1800", base=BASE, name="new")
        domain.parts.policies.now = strict
        await domain.sweep()
        domain.parts.policies.now = loose
        created = await domain.stage(b"1")
        domain.parts.policies.now = strict
        domain.clock.move(minutes=59)
        assert (await domain.sweep()).bundles == ()
        domain.clock.move(minutes=2)
        assert [bundle.id for bundle in (await domain.sweep()).bundles] == [created.id]


async def test_a_diff_says_what_would_change_and_changes_nothing(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain:
        short = await domain.stage(b"1234")
        unused = await domain.stage(b"unused")
        await domain.parts.bundles.delete(RED, unused.id, caller=ALICE)
        await domain.stage(b"other", tenant=Tenant(namespace="blue"))
        domain.clock.move(hours=2)
        young = await domain.stage(b"1234")
        text = '[[rules]]\nnamespaces = ["red"]\ntime_to_live = 3600\nblob_keep = 60\nquota = 3\n'
        after = parse_policies(text, base=policy_of(domain.parts.settings), name="new")
        before = domain.parts.policies.now
        found = await policy_diff(domain.parts.metadata, before=before, after=after, now=domain.clock.now)
        assert {bundle.id: bundle.effect for bundle in found.bundles} == {
            short.id: Effect.ENDS,
            young.id: Effect.SOONER,
        }
        (red,) = found.namespaces
        assert (red.namespace, red.blobs, red.blob_size, red.over_quota) == ("red", 1, 6, 1)
        assert set(red.fields) == {"time_to_live", "blob_keep", "quota"}
        longer = parse_policies("[defaults]\ntime_to_live = 864000", base=policy_of(domain.parts.settings), name="new")
        later = await policy_diff(domain.parts.metadata, before=before, after=longer, now=domain.clock.now)
        moves = {(one.effect, one.until - one.instead_of) for one in later.bundles if one.until and one.instead_of}
        assert moves == {(Effect.LATER, timedelta(days=3))}
        same = await policy_diff(domain.parts.metadata, before=before, after=before, now=domain.clock.now)
        assert (same.bundles, same.namespaces) == ((), ())
