"""A namespace that is made anew, while what the watches tell of namespaces and of pods comes in every order."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from staging_protocol import pod_contract
from staging_protocol.tokens import BundleId
from staging_server.cluster.api import ClusterApi
from staging_server.cluster.watched import Watched, open_sights
from staging_server.retention.sights import Seen
from staging_server.settings import KubernetesSettings
from staging_server.tenants import Tenant
from tests.staging_server.cluster.lab import eventually

_NAMESPACES, _PODS = "/api/v1/namespaces", "/api/v1/pods"
_BUNDLE = BundleId.generate()
_OLD, _NEW = Tenant(namespace="team", uid="old"), Tenant(namespace="team", uid="new")
_OLD_NAMESPACE = {"metadata": {"name": "team", "uid": "old"}}
_NEW_NAMESPACE = {"metadata": {"name": "team", "uid": "new"}}
_POD = {"metadata": {"name": "driver", "namespace": "team", "uid": "1", "labels": {pod_contract.LABEL: str(_BUNDLE)}}}


class _Streams:
    """An API server whose lists and watches say what the test lets them, each for itself."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {_NAMESPACES: [_OLD_NAMESPACE], _PODS: [_POD]}
        self.listed: list[str] = []
        self._events: dict[str, asyncio.Queue[bytes]] = {path: asyncio.Queue() for path in self.lists}

    async def get(self, path: str, *, into: type[msgspec.Struct], **_: object) -> object:
        self.listed.append(path)
        return msgspec.convert({"metadata": {"resourceVersion": "1"}, "items": _raw(self.lists[path])}, into)

    async def watch(self, path: str, **_: object) -> AsyncGenerator[bytes]:
        yield b""
        while True:
            yield await self._events[path].get()

    def tell(self, path: str, what: str, item: dict[str, Any]) -> None:
        self._events[path].put_nowait(json.dumps({"type": what, "object": item}).encode())


def _raw(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item | {"status": msgspec.Raw(b"{}")} for item in items]


@asynccontextmanager
async def _watched(streams: _Streams, *, list_every: float) -> AsyncIterator[Watched]:
    settings = KubernetesSettings(list_every=list_every)
    async with open_sights(cast("ClusterApi", streams), settings) as sights:
        await eventually(lambda: sights.pods(_OLD, _BUNDLE).seen is Seen.ALIVE)
        yield sights


async def test_what_was_known_of_the_old_namespace_is_unknown_for_the_new_one() -> None:
    streams = _Streams()
    async with _watched(streams, list_every=3600) as sights:
        streams.tell(_NAMESPACES, "DELETED", _OLD_NAMESPACE)
        streams.tell(_NAMESPACES, "ADDED", _NEW_NAMESPACE)
        await eventually(lambda: sights.take_changes().all)
        await asyncio.sleep(0)  # the pod's end is still on its way
        assert sights.pods(_NEW, _BUNDLE).seen is Seen.UNKNOWN
        streams.tell(_PODS, "DELETED", _POD)
        await eventually(lambda: sights.find_pod("team", "driver") is None)
        assert sights.pods(_NEW, _BUNDLE).seen is Seen.UNKNOWN  # nobody has said yet that nothing is there


async def test_a_list_of_pods_that_was_begun_later_counts_for_the_new_one() -> None:
    streams = _Streams()
    async with _watched(streams, list_every=0.05) as sights:
        streams.lists[_NAMESPACES] = [_NEW_NAMESPACE]
        streams.lists[_PODS] = []
        streams.tell(_NAMESPACES, "DELETED", _OLD_NAMESPACE)
        streams.tell(_NAMESPACES, "ADDED", _NEW_NAMESPACE)
        await eventually(lambda: sights.pods(_NEW, _BUNDLE).seen is Seen.ABSENT)
        await eventually(lambda: sights.pods(_OLD, _BUNDLE).seen is Seen.ABSENT)
        assert streams.listed.count(_PODS) == 2


async def test_a_tenant_that_does_not_fit_is_unknown_until_the_namespaces_were_listed_again() -> None:
    streams = _Streams()
    async with _watched(streams, list_every=3600) as sights:
        assert sights.pods(_NEW, _BUNDLE).seen is Seen.UNKNOWN
        assert sights.pods(Tenant(namespace="other", uid="x"), _BUNDLE).seen is Seen.UNKNOWN
        assert sights.pods(_OLD, _BUNDLE).seen is Seen.ALIVE
    streams = _Streams()
    async with _watched(streams, list_every=0.05) as sights:
        await eventually(lambda: sights.pods(_NEW, _BUNDLE).seen is Seen.ABSENT)
        await eventually(lambda: sights.pods(Tenant(namespace="other", uid="x"), _BUNDLE).seen is Seen.ABSENT)
        assert sights.pods(_OLD, _BUNDLE).seen is Seen.ALIVE


async def test_a_namespace_that_only_changed_is_the_same() -> None:
    streams = _Streams()
    async with _watched(streams, list_every=3600) as sights:
        sights.take_changes()
        streams.tell(_NAMESPACES, "MODIFIED", _OLD_NAMESPACE)
        streams.tell(_NAMESPACES, "ADDED", {"metadata": {"name": "other", "uid": "x"}})
        await eventually(lambda: sights.pods(Tenant(namespace="other", uid="x"), _BUNDLE).seen is Seen.ABSENT)
        assert sights.pods(_OLD, _BUNDLE).seen is Seen.ALIVE
        assert not sights.take_changes().all
