"""What the watches cost the API server, by its own audit log: calls grow with kinds, and never with bundles."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from staging_protocol import pod_contract
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.cluster.api import open_cluster_api
from staging_server.cluster.watched import Watched
from staging_server.retention.sights import Seen
from staging_server.tenants import Tenant
from staging_server.times import utc_now
from tests.conftest import missing
from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.staging_server.cluster.lab import Lab, eventually, watching

_PODS = 5_000
_MAKERS = 24
_PAGE = 500
_LISTS = 3
"""Lists that are asked for, besides the first."""

Calls = Counter[tuple[str, str, bool]]
"""Verb, resource, and whether it was another page than the first of a list."""


@pytest.fixture
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return an API server that nobody else asks."""
    try:
        with running_kube_api(audit=True) as kube:
            yield Lab(kube=kube, folder=tmp_path_factory.mktemp("quiet"))
    except KubeApiMissingError as error:
        missing(str(error))


async def test_five_thousand_pods_cost_the_same_calls_for_ten_and_for_ten_thousand_bundles(quiet: Lab) -> None:
    tenant = quiet.make_namespace()
    bundles = [BundleId.generate() for _ in range(2 * _PODS)]
    await _make_pods(quiet, tenant, bundles[:_PODS])
    of_ten = await _calls_of(quiet, tenant, bundles[:5] + bundles[-5:])
    assert await _calls_of(quiet, tenant, bundles) == of_ten
    lists = 1 + _LISTS
    # Pods with a label and, as owners of the kind Pod are named, those without, of which there are none.
    assert of_ten == {
        ("list", "pods", False): 2 * lists,
        ("list", "pods", True): (_PODS // _PAGE - 1) * lists,
        ("watch", "pods", False): 2 * lists,
        ("list", "namespaces", False): lists,
        ("watch", "namespaces", False): lists,
    }


async def _make_pods(lab: Lab, tenant: Tenant, bundles: Sequence[BundleId]) -> None:
    left = iter(enumerate(bundles))
    async with open_cluster_api(lab.settings()) as api:

        async def make() -> None:
            for number, bundle in left:
                metadata = {"name": f"pod-{number}", "labels": {pod_contract.LABEL: bundle}}
                spec = {"containers": [{"name": "spark", "image": "spark"}]}
                pod = {"metadata": metadata, "spec": spec}
                await api.post(f"/api/v1/namespaces/{tenant.namespace}/pods", pod, into=msgspec.Raw)

        async with asyncio.TaskGroup() as makers:
            for _ in range(_MAKERS):
                makers.create_task(make())


async def _calls_of(lab: Lab, tenant: Tenant, bundles: Sequence[BundleId]) -> Calls:
    """Return the calls of a server that looks at every bundle and its owner in each of some sweeps.

    The first half of the bundles have pods; the owners do not exist.
    """
    before = len(lab.requests())
    asked = utc_now()
    async with watching(lab, page_size=_PAGE) as sights:
        for _ in range(_LISTS):
            await eventually(partial(_is_listed, sights, tenant, bundles[0], since=asked))
            for number, bundle in enumerate(bundles):
                owner = sights.owner(tenant, _owner(number))
                pods = sights.pods(tenant, bundle)
                wanted = Seen.ALIVE if number < len(bundles) // 2 else Seen.ABSENT
                assert (owner.seen, pods.seen) == (Seen.ABSENT, wanted)
            asked = utc_now()
            sights.list_again()
        await eventually(partial(_is_listed, sights, tenant, bundles[0], since=asked))
    # What is watched is written when it ends.
    await eventually(lambda: _calls(lab, before)[("watch", "namespaces", False)] == 1 + _LISTS)
    return _calls(lab, before)


def _is_listed(sights: Watched, tenant: Tenant, bundle: BundleId, *, since: datetime) -> bool:
    sightings = (sights.pods(tenant, bundle), sights.owner(tenant, _owner(0)))
    return all(sight.listed_at is not None and sight.listed_at > since for sight in sightings)


def _owner(number: int) -> OwnerReference:
    return OwnerReference(api_version="v1", kind="Pod", name=f"driver-{number}")


def _calls(lab: Lab, before: int) -> Calls:
    """Count the calls of this program; the API server asks itself, too."""
    calls: Calls = Counter()
    for request in lab.requests()[before:]:
        if request["user"]["username"] == "admin":
            query = parse_qs(urlsplit(request["requestURI"]).query)
            calls[request["verb"], request["objectRef"]["resource"], "continue" in query] += 1
    return calls
