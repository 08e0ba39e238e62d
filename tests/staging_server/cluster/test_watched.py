"""What the watches know of pods and owners on a real API server."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.cluster.watched import Watched
from staging_server.retention.sights import Changes, Seen
from staging_server.tenants import Tenant
from tests.staging_server.cluster.lab import CRDS, Heard, Lab, eventually, wait_for, watching


async def test_a_labelled_pod_is_alive_until_it_has_finished_and_absent_once_it_is_gone(
    lab: Lab, tenant: Tenant
) -> None:
    bundle = BundleId.generate()
    async with watching(lab) as sights:
        assert sights.pods(tenant, bundle).seen is Seen.UNKNOWN  # nothing was listed yet
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.ABSENT)
        lab.make_pod(tenant, "driver", bundle=bundle)
        lab.make_pod(tenant, "executor", bundle=bundle)
        await eventually(lambda: sights.pods(tenant, bundle).count == 2)
        assert sights.pods(tenant, bundle).names == ("driver", "executor")
        lab.set_phase(tenant, "driver", "Running")
        lab.set_phase(tenant, "executor", "Failed")
        await eventually(lambda: sights.pods(tenant, bundle).names == ("driver",))
        lab.set_phase(tenant, "driver", "Succeeded", finished_at="2026-01-02T03:04:05Z")
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.FINISHED)
        lab.delete_pod(tenant, "executor")  # which did not say when it ended
        ended = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        await eventually(lambda: sights.pods(tenant, bundle).since == ended)
        lab.delete_pod(tenant, "driver")
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.ABSENT)
    assert sights.pods(tenant, bundle).seen is Seen.UNKNOWN  # nobody watches any more


async def test_a_pod_that_does_not_say_when_it_ended_did_so_when_that_was_first_seen(lab: Lab, tenant: Tenant) -> None:
    bundle, now = BundleId.generate(), datetime(2026, 5, 6, tzinfo=UTC)
    lab.make_pod(tenant, "driver", bundle=bundle)
    lab.set_phase(tenant, "driver", "Failed")
    async with watching(lab, clock=lambda: now) as sights:
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.FINISHED)
        first, now = now, now + timedelta(hours=1)
        sights.list_again()
        await eventually(lambda: sights.pods(tenant, bundle).listed_at == now)
        assert sights.pods(tenant, bundle).since == first


async def test_an_end_in_the_future_by_a_clock_that_is_ahead_is_now(lab: Lab, tenant: Tenant) -> None:
    bundle, now = BundleId.generate(), datetime(2026, 5, 6, tzinfo=UTC)
    lab.make_pod(tenant, "driver", bundle=bundle)
    lab.set_phase(tenant, "driver", "Succeeded", finished_at="2026-05-07T00:00:00Z")
    async with watching(lab, clock=lambda: now) as sights:
        await eventually(lambda: sights.pods(tenant, bundle).since == now)


async def test_a_pod_that_gets_another_label_counts_for_the_other_bundle(lab: Lab, tenant: Tenant) -> None:
    one, other = BundleId.generate(), BundleId.generate()
    lab.make_pod(tenant, "driver", bundle=one)
    async with watching(lab) as sights:
        await eventually(lambda: sights.pods(tenant, one).seen is Seen.ALIVE)
        changed = {"metadata": {"labels": {"spark-staging.io/bundle": other}}}
        lab.kube.core.patch_namespaced_pod("driver", tenant.namespace, changed)
        await eventually(lambda: sights.pods(tenant, other).seen is Seen.ALIVE)
        assert sights.pods(tenant, one).seen is Seen.ABSENT


async def test_what_has_another_life_is_told_once_and_what_has_not_is_not(lab: Lab, tenant: Tenant) -> None:
    bundle = BundleId.generate()
    async with watching(lab) as sights:
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.ABSENT)
        assert sights.take_changes().all  # the first list
        lab.make_pod(tenant, "driver", bundle=bundle)
        lab.make_pod(tenant, "stray", bundle="no-bundle-id")
        await eventually(lambda: sights.find_pod(tenant.namespace, "stray") is not None)
        assert sights.take_changes() == _changes(tenant, "driver", "stray", bundle=bundle)
        lab.set_phase(tenant, "driver", "Running")
        listed_at = sights.pods(tenant, bundle).listed_at
        sights.list_again()
        await eventually(lambda: sights.pods(tenant, bundle).listed_at != listed_at)
        assert sights.take_changes() == Changes()
        lab.set_phase(tenant, "driver", "Succeeded")
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.FINISHED)
        assert sights.take_changes() == _changes(tenant, "driver", bundle=bundle)


def _changes(tenant: Tenant, *pods: str, bundle: BundleId) -> Changes:
    owners = {(tenant.namespace, OwnerReference(api_version="v1", kind="Pod", name=name)) for name in pods}
    return Changes(bundles=frozenset({(tenant.namespace, bundle)}), owners=frozenset(owners))


@pytest.mark.parametrize("bundle", [None, BundleId.generate()], ids=["without a label", "with a label"])
async def test_a_pod_owns_by_name_with_and_without_a_label(lab: Lab, tenant: Tenant, bundle: str | None) -> None:
    notebook = OwnerReference(api_version="v1", kind="Pod", name="notebook")
    async with watching(lab) as sights:
        await eventually(lambda: sights.owner(tenant, notebook).seen is Seen.ABSENT)
        uid = lab.make_pod(tenant, "notebook", bundle=bundle)
        await eventually(lambda: sights.owner(tenant, notebook).seen is Seen.ALIVE)
        assert sights.owner(tenant, notebook).uid == uid
        lab.set_phase(tenant, "notebook", "Succeeded")
        ended = {Seen.FINISHED} if bundle is not None else {Seen.ABSENT}
        await eventually(lambda: sights.owner(tenant, notebook).seen in ended)


async def test_an_object_of_the_same_name_and_another_uid_is_not_the_owner(lab: Lab, tenant: Tenant) -> None:
    first = lab.make_pod(tenant, "driver", bundle=BundleId.generate())
    owner = OwnerReference(api_version="v1", kind="Pod", name="driver", uid=first)
    async with watching(lab) as sights:
        await eventually(lambda: sights.owner(tenant, owner).seen is Seen.ALIVE)
        lab.delete_pod(tenant, "driver")
        second = lab.make_pod(tenant, "driver")
        named = OwnerReference(api_version="v1", kind="Pod", name="driver")
        await eventually(lambda: sights.owner(tenant, named).uid == second)
        assert sights.owner(tenant, owner).seen is Seen.ABSENT


_JOB_SPEC = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "spark", "image": "spark"}]}}}
_APPLICATION = OwnerReference(api_version="sparkoperator.k8s.io/v1beta2", kind="SparkApplication", name="pi")
_STATES = (
    (
        OwnerReference(api_version="batch/v1", kind="Job", name="pi"),
        {"active": 1},
        {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}]},
    ),
    (
        _APPLICATION,
        {"applicationState": {"state": "PENDING_RERUN"}, "terminationTime": "2026-01-01T00:00:00Z"},
        {"applicationState": {"state": "COMPLETED"}, "terminationTime": "2026-01-02T03:04:05Z"},
    ),
    (
        OwnerReference(api_version="spark.apache.org/v1", kind="SparkApplication", name="pi"),
        {"currentState": {"currentStateSummary": "ScheduledToRestart"}},
        {"currentState": {"currentStateSummary": "ResourceReleased", "lastTransitionTime": "2026-01-02T03:04:05.6Z"}},
    ),
)


@pytest.mark.parametrize(("owner", "running", "ended"), _STATES, ids=[state[0].api_version for state in _STATES])
async def test_an_owner_of_each_kind_holds_until_it_has_finished_for_good(
    lab: Lab, tenant: Tenant, owner: OwnerReference, running: dict[str, object], ended: dict[str, object]
) -> None:
    with lab.crds():
        async with watching(lab) as sights:
            uid = lab.make_owner(tenant, owner, _JOB_SPEC if owner.kind == "Job" else None)
            await eventually(lambda: sights.owner(tenant, owner).uid == uid)
            lab.set_status(tenant, owner, running)
            lab.set_status(tenant, owner, ended)
            await eventually(lambda: sights.owner(tenant, owner).seen is Seen.FINISHED)
            since = sights.owner(tenant, owner).since
            assert since is not None
            assert since.replace(microsecond=0) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
            lab.set_status(tenant, owner, running)  # an application whose spec was changed lives again
            if owner.kind != "Job":
                await eventually(lambda: sights.owner(tenant, owner).seen is Seen.ALIVE)
            lab.delete_owner(tenant, owner)
            await eventually(lambda: sights.owner(tenant, owner).seen is Seen.ABSENT)


async def test_a_schedule_holds_until_it_is_deleted(lab: Lab, tenant: Tenant) -> None:
    nightly = OwnerReference(
        api_version="sparkoperator.k8s.io/v1beta2", kind="ScheduledSparkApplication", name="nightly"
    )
    with lab.crds():
        async with watching(lab) as sights:
            lab.make_owner(tenant, nightly, {"suspend": True})
            await eventually(lambda: sights.owner(tenant, nightly).seen is Seen.ALIVE)
            lab.set_status(tenant, nightly, {"scheduleState": "FailedValidation"})
            lab.delete_owner(tenant, nightly)
            await eventually(lambda: sights.owner(tenant, nightly).seen is Seen.ABSENT)


async def test_an_owner_of_a_kind_that_is_installed_later_is_seen_then(lab: Lab, tenant: Tenant) -> None:
    async with watching(lab) as sights:
        await eventually(lambda: sights.owner(tenant, _APPLICATION).seen is Seen.ABSENT)
        with lab.crds():
            lab.make_owner(tenant, _APPLICATION)
            await eventually(lambda: sights.owner(tenant, _APPLICATION).seen is Seen.ALIVE)
        await eventually(lambda: sights.owner(tenant, _APPLICATION).seen is Seen.ABSENT)


async def test_a_kind_of_which_only_another_version_is_served_is_unknown(lab: Lab, tenant: Tenant) -> None:
    versions = [{**CRDS[0]["spec"]["versions"][0], "name": "v1"}]
    newer = {**CRDS[0], "spec": {**CRDS[0]["spec"], "versions": versions}}
    with lab.crds([newer]):
        heard = Heard()
        async with watching(lab, observer=heard) as sights:
            await eventually(lambda: bool(heard.broken) or sights.owner(tenant, _APPLICATION).seen is not Seen.UNKNOWN)
            assert sights.owner(tenant, _APPLICATION).seen is Seen.UNKNOWN


async def test_a_tenant_of_another_cluster_is_unknown_and_one_of_a_time_without_kubernetes_unobserved(
    lab: Lab, tenant: Tenant
) -> None:
    bundle = BundleId.generate()
    elsewhere = Tenant(cluster="elsewhere", namespace=tenant.namespace, uid=tenant.uid)
    async with watching(lab) as sights:
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.ABSENT)
        assert sights.pods(elsewhere, bundle).seen is Seen.UNKNOWN
        assert sights.pods(Tenant(namespace=tenant.namespace), bundle).seen is Seen.UNOBSERVED


async def test_a_namespace_made_anew_is_another_tenant(lab: Lab, tenant: Tenant) -> None:
    bundle, name = BundleId.generate(), tenant.namespace
    lab.make_pod(tenant, "driver", bundle=bundle)
    async with watching(lab) as sights:
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.ALIVE)
        lab.delete_namespace(name)
        again = lab.make_namespace(name)
        assert again.uid != tenant.uid
        assert sights.pods(again, bundle).seen is Seen.UNKNOWN  # nothing of it was heard yet
        lab.make_pod(again, "driver", bundle=bundle)
        await eventually(lambda: sights.pods(again, bundle).seen is Seen.ALIVE)
        await eventually(lambda: sights.pods(tenant, bundle).seen is Seen.ABSENT)
        await eventually(lambda: sights.owner(tenant, _pod("driver")).seen is Seen.ABSENT)
        await eventually(lambda: sights.owner(again, _pod("driver")).seen is Seen.ALIVE)


def _pod(name: str) -> OwnerReference:
    return OwnerReference(api_version="v1", kind="Pod", name=name)


async def test_lists_come_page_by_page(lab: Lab, tenant: Tenant) -> None:
    bundle = BundleId.generate()
    for number in range(7):
        lab.make_pod(tenant, f"pod-{number}", bundle=bundle)
    async with watching(lab, page_size=2) as sights:
        await eventually(lambda: sights.pods(tenant, bundle).count == 7)
        lab.delete_pod(tenant, "pod-3")
        await eventually(lambda: sights.pods(tenant, bundle).count == 6)


async def test_sights_may_be_asked_for_from_any_thread(lab: Lab, tenant: Tenant) -> None:
    bundle, job = BundleId.generate(), OwnerReference(api_version="batch/v1", kind="Job", name="pi")

    def ask(sights: Watched) -> None:
        wait_for(lambda: sights.owner(tenant, job).seen is Seen.ABSENT)
        lab.make_pod(tenant, "driver", bundle=bundle)
        wait_for(lambda: sights.pods(tenant, bundle).seen is Seen.ALIVE)

    async with watching(lab) as sights:
        await asyncio.to_thread(ask, sights)
