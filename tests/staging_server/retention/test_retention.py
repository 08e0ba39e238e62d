"""The decision whether a bundle lives: pure, so every claim can be tried at any time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.api.bundles import Pin
from staging_protocol.owners import OwnerReference
from staging_server.retention.deciding import decide
from staging_server.retention.facts import Facts, Life, Owner, Pods
from staging_server.retention.policies import Policy

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
POLICY = Policy(time_to_live=7 * DAY, max_time_to_live=30 * DAY, min_age=HOUR)
POD = OwnerReference(api_version="v1", kind="Pod", name="driver")
IDLE = Facts(created_at=NOW - 20 * DAY, last_activity_at=NOW - 10 * DAY)

moments = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 6, 1)).map(  # noqa: DTZ001 - zone follows
    lambda moment: moment.replace(tzinfo=UTC)
)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=60))
pins = st.builds(Pin, reason=st.just("because"), until=st.none() | moments)
owners = st.builds(Owner, reference=st.just(POD), life=st.sampled_from(Life), ended_at=st.none() | moments)
pods = st.builds(
    Pods,
    life=st.sampled_from(Life),
    names=st.lists(st.just("pod"), max_size=2).map(tuple),
    ended_at=st.none() | moments,
)
all_facts = st.builds(
    Facts,
    created_at=moments,
    last_activity_at=moments,
    time_to_live=st.none() | spans,
    lease_until=st.none() | moments,
    pin=st.none() | pins,
    owner=st.none() | owners,
    pods=pods,
)
policies = st.builds(Policy, time_to_live=spans, max_time_to_live=spans, min_age=spans, grace=spans)


def keeps(facts: Facts) -> bool:
    return decide(facts, POLICY, NOW).keep


def test_nothing_keeps_an_idle_bundle() -> None:
    decision = decide(IDLE, POLICY, NOW)
    assert not decision.keep
    assert decision.reason == (
        "the time to live of 7 days since the last activity at 2026-02-19 00:00:00Z ended at 2026-02-26 00:00:00Z"
    )


def test_activity_renews_the_time_to_live() -> None:
    assert keeps(replace(IDLE, last_activity_at=NOW - 7 * DAY + timedelta(seconds=1)))
    assert not keeps(replace(IDLE, last_activity_at=NOW - 7 * DAY))


@pytest.mark.parametrize(("asked", "kept"), [(9, False), (11, True), (1000, True)])
def test_a_submitter_may_ask_for_another_time_to_live(asked: int, *, kept: bool) -> None:
    assert keeps(replace(IDLE, time_to_live=asked * DAY)) is kept


def test_the_policy_bounds_what_was_asked_for() -> None:
    strict = replace(POLICY, max_time_to_live=8 * DAY)
    assert not decide(replace(IDLE, time_to_live=1000 * DAY), strict, NOW).keep


def test_a_young_bundle_lives_whatever_was_asked_for() -> None:
    young = Facts(created_at=NOW - HOUR / 2, last_activity_at=NOW - HOUR / 2, time_to_live=timedelta(seconds=1))
    assert decide(young, POLICY, NOW).until == NOW + HOUR / 2
    assert not decide(young, POLICY, NOW + HOUR / 2).keep


def test_a_lease_and_a_pin_hold_to_their_end() -> None:
    assert keeps(replace(IDLE, lease_until=NOW + HOUR))
    assert not keeps(replace(IDLE, lease_until=NOW))
    assert keeps(replace(IDLE, pin=Pin(reason="audit", until=NOW + HOUR)))
    assert not keeps(replace(IDLE, pin=Pin(reason="audit", until=NOW)))
    assert decide(replace(IDLE, pin=Pin(reason="audit")), POLICY, NOW).until is None


@pytest.mark.parametrize(
    ("life", "kept"),
    [(Life.UNOBSERVED, False), (Life.EXPECTED, False), (Life.UNKNOWN, True), (Life.ALIVE, True), (Life.ENDED, False)],
)
def test_an_owner_keeps_while_it_lives_or_may_live(life: Life, *, kept: bool) -> None:
    assert keeps(replace(IDLE, owner=Owner(reference=POD, life=life))) is kept


def test_without_kubernetes_an_owner_is_shown_but_claims_nothing() -> None:
    decision = decide(replace(IDLE, owner=Owner(reference=POD)), POLICY, NOW)
    assert not decision.keep
    (claim,) = [claim for claim in decision.claims if claim.kind == "owner"]
    assert "no Kubernetes is connected" in claim.detail


def test_a_live_pod_keeps_and_is_named() -> None:
    decision = decide(replace(IDLE, pods=Pods(life=Life.ALIVE, names=("driver", "exec-1"))), POLICY, NOW)
    assert decision.keep
    assert "in use by pod driver, exec-1" in decision.reason


def test_a_grace_follows_the_end_of_the_owner() -> None:
    ended = Owner(reference=POD, life=Life.ENDED, ended_at=NOW - HOUR / 2)
    decision = decide(replace(IDLE, owner=ended), POLICY, NOW)
    assert decision.until == NOW + HOUR / 2
    assert not decide(replace(IDLE, owner=ended), POLICY, NOW + HOUR / 2).keep


def test_once_claimed_the_time_to_live_no_longer_counts() -> None:
    ended = Owner(reference=POD, life=Life.ENDED, ended_at=NOW - 2 * HOUR)
    assert not keeps(replace(IDLE, last_activity_at=NOW, owner=ended))


@given(facts=all_facts, policy=policies, now=moments)
def test_a_bundle_is_kept_exactly_when_a_claim_holds(facts: Facts, policy: Policy, now: datetime) -> None:
    decision = decide(facts, policy, now)
    assert decision.keep == any(claim.holds for claim in decision.claims)
    assert decision.reason


@given(facts=all_facts, policy=policies, now=moments)
def test_unknown_always_keeps(facts: Facts, policy: Policy, now: datetime) -> None:
    unsure = replace(facts, owner=Owner(reference=POD, life=Life.UNKNOWN))
    assert decide(unsure, policy, now).keep
    assert decide(replace(facts, pods=Pods(life=Life.UNKNOWN)), policy, now).keep


@given(facts=all_facts, policy=policies, now=moments)
def test_until_is_the_very_moment_at_which_it_ends(facts: Facts, policy: Policy, now: datetime) -> None:
    decision = decide(facts, policy, now)
    if decision.until is None:
        return
    assert decision.until > now
    assert decide(facts, policy, decision.until - timedelta(microseconds=1)).keep
    assert not decide(facts, policy, decision.until).keep


@given(facts=all_facts, policy=policies, now=moments, later=spans)
def test_what_has_ended_does_not_come_back_by_waiting(
    facts: Facts, policy: Policy, now: datetime, later: timedelta
) -> None:
    if not decide(facts, policy, now).keep:
        assert not decide(facts, policy, now + later).keep


@given(facts=all_facts, policy=policies, now=moments, more=spans)
def test_activity_never_shortens_a_life(facts: Facts, policy: Policy, now: datetime, more: timedelta) -> None:
    if decide(facts, policy, now).keep:
        assert decide(replace(facts, last_activity_at=facts.last_activity_at + more), policy, now).keep


@given(facts=all_facts, policy=policies, now=moments)
def test_explanations_are_sentences_without_braces(facts: Facts, policy: Policy, now: datetime) -> None:
    for claim in decide(facts, policy, now).claims:
        assert claim.detail
        assert "{" not in claim.detail
