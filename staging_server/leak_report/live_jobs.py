"""Which upload folders the jobs of a cluster name, asked from Kubernetes.

    drivers        pods labelled `spark-role=driver`, and the ConfigMaps that they mount (`spark-drv-…-conf-map` with
                   spark.properties); of a Python job only the pod's arguments name the main file
    applications   SparkApplications of both operators and ScheduledSparkApplications, from which drivers are made

Each object is searched as the text that it is, so that it does not matter which field names a folder.  Finished jobs
are asked, too: they tell whose a leftover is.  Lists come in pages, and only ConfigMaps that a driver mounts are read.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

import msgspec
from msgspec import Raw

from staging_protocol.errors import NotFound, StagingError
from staging_server.cluster.api import ClusterApi, ListAgain
from staging_server.cluster.finished import pod_finished
from staging_server.cluster.kinds import KINDS, PODS, Kind
from staging_server.cluster.objects import ListMetadata
from staging_server.leak_report.judging import Jobs, Namer
from staging_server.leak_report.naming import folders_named_in

_AT_ONCE: Final = 16
"""ConfigMaps that are asked for at a time."""
_NOTHING: Final = Raw(b"null")

_DRIVERS: Final = Kind(
    name="driver pods",
    owner=PODS.owner,
    group_path=PODS.group_path,
    resource=PODS.resource,
    query={"labelSelector": "spark-role=driver"},
    finished=pod_finished,
)
_APPLICATIONS: Final = tuple(kind for kind in KINDS if kind.owner[1].endswith("SparkApplication"))


class _Page(msgspec.Struct):
    metadata: ListMetadata
    items: list[Raw] | None = None


class _Metadata(msgspec.Struct):
    name: str
    namespace: str
    labels: dict[str, str] | None = None


class _ConfigMap(msgspec.Struct):
    name: str
    optional: bool | None = None


class _Volume(msgspec.Struct, rename="camel"):
    config_map: _ConfigMap | None = None


class _PodSpec(msgspec.Struct):
    volumes: list[_Volume] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata
    spec: Raw = _NOTHING
    status: Raw = _NOTHING


async def ask(api: ClusterApi, *, namespaces: tuple[str, ...], page_size: int) -> Jobs:
    """Ask about the jobs in `namespaces`, or in all of the cluster when that is empty.

    What Kubernetes does not say is among the problems of the result.
    """
    asking = _Asking(api, page_size=page_size)
    for namespace in namespaces or ("",):
        if namespace:
            await asking.see_namespace(namespace)
        for kind in (_DRIVERS, *_APPLICATIONS):
            await asking.see_all(kind, namespace)
    return Jobs(
        namespaces=namespaces, names=asking.names, live=asking.live, finished=asking.finished,
        problems=tuple(asking.problems),
    )  # fmt: skip


class _Asking:
    """Collects what Kubernetes says."""

    def __init__(self, api: ClusterApi, *, page_size: int) -> None:
        self._api = api
        self._page_size = page_size
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.names: dict[str, Namer] = {}
        self.live = 0
        self.finished = 0
        self.problems: list[str] = []

    async def see_namespace(self, namespace: str) -> None:
        """Make sure that it is there: of a misspelt one Kubernetes says that it has no jobs."""
        try:
            await self._api.get(f"/api/v1/namespaces/{namespace}", into=Raw)
        except StagingError as error:
            self.problems.append(error.detail)

    async def see_all(self, kind: Kind, namespace: str) -> None:
        """See each object of a kind."""
        try:
            async for items in self._pages(kind, namespace):
                await asyncio.gather(*(self._see(kind, item) for item in items))
        except ListAgain:
            self.problems.append(f"the list of {kind.name} took too long; run it again")
        except StagingError as error:
            self.problems.append(error.detail)

    async def _pages(self, kind: Kind, namespace: str) -> AsyncIterator[list[Raw]]:
        query: dict[str, str | int] = {**kind.query, "limit": self._page_size}
        while True:
            try:
                page = await self._api.get(kind.path(namespace), into=_Page, query=query)
            except NotFound:
                if kind.installed_later and not await self._has_group(kind):
                    return
                raise
            yield page.items or []
            if not page.metadata.next_page:
                return
            query["continue"] = page.metadata.next_page

    async def _has_group(self, kind: Kind) -> bool:
        """Return whether there may be objects of another version; without the group there are none."""
        try:
            await self._api.get(kind.group, into=Raw)
        except NotFound:
            return False
        return True

    async def _see(self, kind: Kind, item: Raw) -> None:
        seen = msgspec.json.decode(item, type=_Object)
        meta = seen.metadata
        is_driver = kind is _DRIVERS
        namer = Namer(
            job=f"{'driver pod' if is_driver else kind.owner[1]} {meta.namespace}/{meta.name}",
            application=(meta.labels or {}).get("spark-app-name", meta.name) if is_driver else meta.name,
            live=kind.finished(seen.status) is None,
        )
        self.live += namer.live
        self.finished += not namer.live
        self._note(folders_named_in(bytes(item)), namer)
        if is_driver:
            for volume in msgspec.json.decode(seen.spec, type=_PodSpec).volumes or ():
                if volume.config_map is not None:
                    await self._see_config_map(volume.config_map, namespace=meta.namespace, namer=namer)

    async def _see_config_map(self, mounted: _ConfigMap, *, namespace: str, namer: Namer) -> None:
        try:
            async with self._places:
                path = f"/api/v1/namespaces/{namespace}/configmaps/{mounted.name}"
                content = await self._api.get(path, into=Raw)
        except NotFound:
            # Spark makes it after the pod.
            if namer.live and not mounted.optional:
                self.problems.append(f"{namer.job} has no ConfigMap {mounted.name} yet")
        except StagingError as error:
            if namer.live:
                self.problems.append(error.detail)
        else:
            self._note(folders_named_in(bytes(content)), namer)

    def _note(self, names: Iterable[str], namer: Namer) -> None:
        for name in names:
            known = self.names.get(name)
            if known is None or (namer.live and not known.live):
                self.names[name] = namer
