"""Watches that break, fall silent, come too late or are refused: what is not known is unknown, and then known again."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.cluster.kinds import PODS
from staging_server.retention.sights import Seen
from staging_server.tenants import Tenant
from tests.conftest import missing
from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.staging_server.cluster.lab import Heard, Lab, eventually, watching
from tests.staging_server.cluster.lane import Lane, lane_to

_BUNDLE = BundleId.generate()
_READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
_READ_NAMESPACES = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]}


@pytest.fixture
async def lane(lab: Lab) -> AsyncIterator[Lane]:
    async with lane_to(lab.kube.url) as opened:
        yield opened


async def test_a_watch_that_is_cut_goes_on_without_a_new_list(lab: Lab, tenant: Tenant, lane: Lane) -> None:
    heard = Heard()
    async with watching(lab, kubeconfig=lab.kubeconfig_at(lane.url), observer=heard) as sights:
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT)
        lab.make_pod(tenant, "driver", bundle=_BUNDLE)
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ALIVE)
        listed = heard.lists.count(PODS.name)
        sights.take_changes()
        await lane.cut()
        lab.delete_pod(tenant, "driver")
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT)
        assert (PODS.name, "unavailable") in heard.broken
        assert heard.lists.count(PODS.name) == listed
        assert sights.take_changes().all  # for a time nobody watched


async def test_nothing_is_known_while_the_api_server_cannot_be_reached(lab: Lab, tenant: Tenant, lane: Lane) -> None:
    async with watching(lab, kubeconfig=lab.kubeconfig_at(lane.url)) as sights:
        lab.make_pod(tenant, "driver", bundle=_BUNDLE)
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ALIVE)
        lane.is_closed = True
        await lane.cut()
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.UNKNOWN)
        # Each kind has a watch of its own, and that of namespaces may have been the first to be lost.
        await eventually(lambda: sights.find_pod(tenant.namespace, "driver") is None)
        lab.delete_pod(tenant, "driver")
        lane.is_closed = False
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT)


async def test_a_watch_that_falls_silent_is_given_up(lab: Lab, tenant: Tenant, lane: Lane) -> None:
    heard = Heard()
    late: dict[str, Any] = {"watch_timeout": 1, "request_timeout": 0.5, "connect_timeout": 0.3}
    async with watching(lab, kubeconfig=lab.kubeconfig_at(lane.url), observer=heard, **late) as sights:
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT)
        lane.hold()
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.UNKNOWN)
        lane.go_on()
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT)


async def test_a_watch_that_the_api_server_ends_in_order_goes_on_without_a_new_list(lab: Lab, tenant: Tenant) -> None:
    heard = Heard()

    def watches() -> int:
        return sum("resources=pods" in uri and "timeoutSeconds=1" in uri and "watch=1" in uri for uri in _uris(lab))

    async with watching(lab, observer=heard, watch_timeout=1) as sights:
        lab.make_pod(tenant, "before", bundle=_BUNDLE)
        await eventually(lambda: watches() >= 2)
        lab.make_pod(tenant, "after", bundle=_BUNDLE)
        await eventually(lambda: sights.pods(tenant, _BUNDLE).count == 2)
    assert heard.broken == []
    assert heard.lists.count(PODS.name) == 1


def _uris(lab: Lab) -> Iterator[str]:
    for request in lab.requests():
        yield f"{request['requestURI']} resources={request.get('objectRef', {}).get('resource')}"


async def test_a_missing_right_is_told_and_its_grant_noticed(lab: Lab, tenant: Tenant) -> None:
    job = OwnerReference(api_version="batch/v1", kind="Job", name="pi")
    heard = Heard()
    kubeconfig = lab.kubeconfig_of(tenant, "staging")
    lab.grant_everywhere(tenant, "staging", [_READ_PODS, _READ_NAMESPACES])
    async with watching(lab, kubeconfig=kubeconfig, observer=heard) as sights:
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT)
        await eventually(lambda: sights.owner(tenant, job).seen is Seen.UNKNOWN and ("jobs", "denied") in heard.broken)
        read_jobs = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch"]}
        lab.grant_everywhere(tenant, "staging-jobs", [read_jobs], to="staging")
        await eventually(lambda: sights.owner(tenant, job).seen is Seen.ABSENT)
    assert {kind for kind, _ in heard.broken} == {"jobs"}
    assert set(heard.closed) == {"namespaces", "pods", "jobs"}


async def test_roles_in_the_namespaces_that_are_served_are_enough(lab: Lab, tenant: Tenant) -> None:
    other, unserved = lab.make_namespace(), lab.make_namespace()
    kubeconfig = lab.kubeconfig_of(tenant, "staging")
    for one in (tenant, other):
        lab.grant(one, "staging", [_READ_PODS, {**_READ_NAMESPACES, "verbs": ["get"]}], of=tenant)
    served = (tenant.namespace, other.namespace)
    async with watching(lab, kubeconfig=kubeconfig, namespaces=served) as sights:
        lab.make_pod(other, "driver", bundle=_BUNDLE)
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT)
        await eventually(lambda: sights.pods(other, _BUNDLE).seen is Seen.ALIVE)
        assert sights.pods(unserved, _BUNDLE).seen is Seen.UNKNOWN
        lab.delete_namespace(other.namespace)
        await eventually(lambda: sights.pods(other, _BUNDLE).seen is Seen.ABSENT)
        again = lab.make_namespace(other.namespace)  # the Role is still there: nobody collects here
        lab.make_pod(again, "driver", bundle=_BUNDLE)
        await eventually(lambda: sights.pods(again, _BUNDLE).seen is Seen.ALIVE)
        await eventually(lambda: sights.pods(other, _BUNDLE).seen is Seen.ABSENT)


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return an API server that may be killed."""
    try:
        with running_kube_api() as kube:
            yield Lab(kube=kube, folder=tmp_path_factory.mktemp("mortal"))
    except KubeApiMissingError as error:
        missing(str(error))


async def test_an_api_server_that_is_killed_and_forgets_is_listed_anew(mortal: Lab) -> None:
    tenant, heard = mortal.make_namespace(), Heard()
    mortal.make_pod(tenant, "driver", bundle=_BUNDLE)
    async with watching(mortal, observer=heard) as sights:
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ALIVE)
        mortal.server.kill()
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.UNKNOWN)
        mortal.server.start()
        mortal.delete_pod(tenant, "driver")
        mortal.server.compact()
        await eventually(lambda: sights.pods(tenant, _BUNDLE).seen is Seen.ABSENT, seconds=60)
        assert heard.lists.count(PODS.name) >= 2
