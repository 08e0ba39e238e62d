"""What the watches know, as the retention asks for it: `sights.Sights`.

    Watch per kind (and namespace) ──→ Watched ──→ Sight
      namespaces ──→ NamespaceObjects ──┘   └───→ Changes

Labelled pods and namespaces are watched from the start, every other kind from the moment when a bundle names an owner
of it: what nobody uses costs no call and needs no right.

All answers may be asked for from any thread; they take one lock, which the event loop holds for the moment of a change.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from heapq import nsmallest
from threading import Lock
from typing import Final

from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.cluster import listing
from staging_server.cluster.api import ClusterApi
from staging_server.cluster.kinds import KINDS, NAMESPACES, PODS, Kind
from staging_server.cluster.namespace_objects import NamespaceObjects
from staging_server.cluster.objects import Kept
from staging_server.cluster.observer import SILENT, WatchObserver
from staging_server.cluster.pending import Pending
from staging_server.cluster.pods import PodSight
from staging_server.cluster.watching import Watch
from staging_server.retention.sights import Changes, Seen, Sight, Sights
from staging_server.settings import KubernetesSettings
from staging_server.tenants import Tenant
from staging_server.times import Clock, utc_now

_UNKNOWN: Final = Sight(seen=Seen.UNKNOWN)
_UNOBSERVED: Final = Sight(seen=Seen.UNOBSERVED)
_NAMES: Final = 5
"""Live pods that are told by name; a person wants an example, not a thousand."""


class Watched:
    """The sights of one cluster."""

    def __init__(
        self,
        api: ClusterApi,
        settings: KubernetesSettings,
        *,
        clock: Clock = utc_now,
        observer: WatchObserver = SILENT,
        known: Callable[[], None] = lambda: None,
    ) -> None:
        self._known = known
        self._cluster = settings.cluster
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._lock = Lock()
        self._pending = Pending()

        def watch(source: listing.Source) -> Watch:
            return Watch(source, settings=settings, lock=self._lock, told=self, clock=clock, observer=observer)

        self._watches: Mapping[Kind, Mapping[str, Watch]] = {
            kind: {source.namespace: watch(source) for source in _sources(api, kind, settings=settings)}
            for kind in (NAMESPACES, *KINDS)
        }
        self._namespaces = NamespaceObjects(lambda name: self._watch(NAMESPACES, name), soon=self._soon)

    async def run(self) -> None:
        """Watch until cancelled."""
        for watch in self._watches[NAMESPACES].values():
            watch.want()
        async with asyncio.TaskGroup() as tasks:
            for kind, watches in self._watches.items():
                for namespace, watch in watches.items():
                    tasks.create_task(watch.run(), name=f"watch {kind.name} {namespace}")

    # --- Sights

    def owner(self, tenant: Tenant, reference: OwnerReference) -> Sight:
        """Return what is known of an owner.

        One of a kind that is not installed is ABSENT; as for every absence it takes a second list to end its claim, and
        an owner that was named before its operator was there is waited for like one that was named before it existed.
        """
        with self._lock:
            listed_at, sight = self._standing(tenant)
            if sight is not None or listed_at is None:
                return sight or _UNKNOWN
            for kind in _kinds_of(reference):
                watch = self._whole(kind, tenant.namespace)
                if watch is None or watch.listed_at is None:
                    return _UNKNOWN
                listed_at = min(listed_at, watch.listed_at)
                kept = watch.objects.get(tenant.namespace, reference.name)
                if kept is not None:
                    return self._sight_of(kept, reference=reference, listed_at=listed_at)
            return Sight(seen=Seen.ABSENT, listed_at=listed_at)

    def pods(self, tenant: Tenant, bundle: BundleId) -> Sight:
        """Return what is known of the pods with the bundle's label."""
        with self._lock:
            listed_at, sight = self._standing(tenant)
            watch = self._whole(PODS, tenant.namespace)
            if sight is not None or listed_at is None or watch is None or watch.listed_at is None:
                return sight or _UNKNOWN
            listed_at = min(listed_at, watch.listed_at)
            return self._sight_of_pods(dict(watch.objects.labelled(tenant.namespace, bundle)), listed_at=listed_at)

    def take_changes(self) -> Changes:
        """Return what changed since the last call, and forget it."""
        with self._lock:
            return self._pending.take()

    def list_again(self, kinds: Collection[tuple[str, str]] | None = None) -> None:
        """Ask for fresh lists of namespaces, labelled pods and these kinds; None: of everything that is watched."""
        for kind, watches in self._watches.items():
            if kinds is None or kind in {NAMESPACES, PODS} or kind.owner in kinds:
                for watch in watches.values():
                    watch.list_again()

    # --- for `Pods`

    def find_pod(self, namespace: str, name: str) -> PodSight | None:
        """Return a labelled pod that is known to be there."""
        with self._lock:
            watch = self._watch(PODS, namespace)
            kept = watch.objects.get(namespace, name) if watch is not None and watch.listed_at is not None else None
        if kept is None:
            return None
        return PodSight(namespace=namespace, name=name, uid=kept.uid, bundle=kept.bundle, alive=kept.end is None)

    # --- what the watches tell, with the lock held

    def changed(self, kind: Kind, namespace: str, name: str, old: Kept | None, new: Kept | None) -> None:
        """Note a change."""
        if kind is not NAMESPACES:
            self._pending.add(kind, namespace, name, (old, new))
        elif self._namespaces.changed(name, old, new):
            self._pending.add_all()

    def lost(self, kind: Kind, namespace: str) -> None:
        """Note that nothing is known of a kind."""
        del kind, namespace
        self._pending.add_all()

    def found(self, kind: Kind, namespace: str) -> None:
        """Note that all is known.  Pods are listed after their namespaces, so that they are never of an older one."""
        self._pending.add_all()
        self._known()
        if kind is NAMESPACES:
            self._watches[PODS][namespace].want()

    # --- inside

    def _standing(self, tenant: Tenant) -> tuple[datetime | None, Sight | None]:
        """Return the time of the list by which the tenant's namespace is there, or else the whole answer."""
        if not tenant.uid:  # of a time without Kubernetes: nothing of this cluster can be its own
            return None, _UNOBSERVED
        standing = self._namespaces.standing(tenant) if tenant.cluster == self._cluster else None
        if standing is None:
            return None, _UNKNOWN
        gone = Sight(seen=Seen.ABSENT, listed_at=standing.listed_at)
        return (standing.listed_at, None) if standing.is_there else (None, gone)

    def _whole(self, kind: Kind, namespace: str) -> Watch | None:
        """Return the watch when it knows all of the namespace; else see that it soon does."""
        watch = self._watch(kind, namespace)
        if watch is None:
            return None
        if not watch.is_wanted:
            self._soon(watch.want)
        return watch if watch.listed_at is not None and self._namespaces.is_fresh(watch, namespace) else None

    def _watch(self, kind: Kind, namespace: str) -> Watch | None:
        """Return the watch that sees a namespace; None when it is not one of those that are served."""
        watches = self._watches[kind]
        return watches.get(namespace) or watches.get("")

    def _soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(call)

    def _sight_of(self, kept: Kept, *, reference: OwnerReference, listed_at: datetime) -> Sight:
        if reference.uid not in {None, kept.uid}:
            return Sight(seen=Seen.ABSENT, listed_at=listed_at)
        if kept.end is None:
            return Sight(seen=Seen.ALIVE, uid=kept.uid, names=(reference.name,), count=1, listed_at=listed_at)
        return Sight(seen=Seen.FINISHED, uid=kept.uid, since=self._past(kept.end.at), listed_at=listed_at)

    def _sight_of_pods(self, pods: Mapping[str, Kept], *, listed_at: datetime) -> Sight:
        live = [name for name, kept in pods.items() if kept.end is None]
        if live:
            return Sight(seen=Seen.ALIVE, names=tuple(nsmallest(_NAMES, live)), count=len(live), listed_at=listed_at)
        if not pods:
            return Sight(seen=Seen.ABSENT, listed_at=listed_at)
        since = max((kept.end.at for kept in pods.values() if kept.end and kept.end.at), default=None)
        return Sight(seen=Seen.FINISHED, since=self._past(since), listed_at=listed_at)

    def _past(self, moment: datetime | None) -> datetime | None:
        """Return `moment`, but not one of a clock that is ahead of ours."""
        return None if moment is None else min(moment, self._clock())


@asynccontextmanager
async def open_sights(
    api: ClusterApi,
    settings: KubernetesSettings,
    *,
    clock: Clock = utc_now,
    observer: WatchObserver = SILENT,
    known: Callable[[], None] = lambda: None,
) -> AsyncIterator[Watched]:
    """Watch while the context is open; at first, and again after it, everything is unknown.

    `known` is called on the event loop whenever something becomes known that was not; it must not wait.
    """
    watched = Watched(api, settings, clock=clock, observer=observer, known=known)
    watching = asyncio.create_task(watched.run(), name="watches")
    try:
        yield watched
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _sources(api: ClusterApi, kind: Kind, *, settings: KubernetesSettings) -> Iterator[listing.Source]:
    """Yield one for the whole cluster, or one for each namespace that is served."""
    for namespace in settings.namespaces or ("",):
        if kind is NAMESPACES and namespace:
            yield listing.NamedNamespace(api=api, namespace=namespace)
        else:
            yield listing.Collection(api=api, kind=kind, namespace=namespace, page_size=settings.page_size)


def _kinds_of(reference: OwnerReference) -> Iterator[Kind]:
    """Yield where such an owner may be, pods with a label first."""
    return (kind for kind in KINDS if kind.owner == (reference.api_version, reference.kind))


def _is_sights(watched: Watched) -> Sights:
    return watched
