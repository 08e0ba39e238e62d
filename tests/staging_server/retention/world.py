"""A cluster, and watches of it that go wrong in every way that watches do.  Everything is in memory.

    Cluster    the truth: namespaces, owners and pods, and how all of it was a minute ago
    Watch      what one process believes, by the rules of `Sights`: late, lost, refused, stale, but never at random

What a watch promises is bounded, as in the real one: an event is late by `LATE` at most while the watch is whole; a
watch that hears nothing counts as broken after `SILENCE`; a list shows what was so within the last `STALE`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any

from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.retention.sights import Changes, Seen, Sight, Sights
from staging_server.tenants import Tenant
from tests.staging_server.domain import MovableClock

LATE = timedelta(seconds=30)
SILENCE = timedelta(seconds=150)
STALE = timedelta(seconds=59)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An owner or a pod; `bundle` is a pod's label."""

    uid: str
    namespace_uid: str
    namespace: str
    created_at: datetime
    finished_at: datetime | None = None
    bundle: BundleId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The cluster at one moment.  Owners are found by namespace and reference without uid."""

    at: datetime
    namespaces: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[tuple[str, OwnerReference], Thing] = field(default_factory=dict)
    pods: Mapping[str, Thing] = field(default_factory=dict)


class Cluster:
    """The truth, with its last minutes."""

    def __init__(self, clock: MovableClock, *, namespaces: Collection[str]) -> None:
        self.clock = clock
        self._uids = 0
        self.now = State(at=clock())
        self._past = [self.now]
        for name in namespaces:
            self._set(namespaces={**self.now.namespaces, name: self._uid("ns")})

    def tenant(self, namespace: str) -> Tenant:
        return Tenant(namespace=namespace, uid=self.now.namespaces[namespace])

    def recreate_namespace(self, name: str) -> None:
        self._set(
            namespaces={**self.now.namespaces, name: self._uid("ns")},
            owners={key: thing for key, thing in self.now.owners.items() if key[0] != name},
            pods={key: thing for key, thing in self.now.pods.items() if thing.namespace != name},
        )

    def start_pod(self, namespace: str, bundle: BundleId) -> None:
        pod = self._thing("pod", namespace, bundle=bundle)
        self._set(pods={**self.now.pods, pod.uid: pod})

    def finish_pod(self, uid: str) -> None:
        self._set(pods={**self.now.pods, uid: self._finished(self.now.pods[uid])})

    def delete_pod(self, uid: str) -> None:
        self._set(pods={key: thing for key, thing in self.now.pods.items() if key != uid})

    def start_owner(self, namespace: str, reference: OwnerReference) -> None:
        self._set(owners={**self.now.owners, (namespace, reference): self._thing("owner", namespace)})

    def finish_owner(self, key: tuple[str, OwnerReference]) -> None:
        self._set(owners={**self.now.owners, key: self._finished(self.now.owners[key])})

    def delete_owner(self, key: tuple[str, OwnerReference]) -> None:
        self._set(owners={other: thing for other, thing in self.now.owners.items() if other != key})

    def as_of(self, moment: datetime) -> State:
        """Return how it was then, as far back as anybody may ask."""
        return next((state for state in reversed(self._past) if state.at <= moment), self._past[0])

    def _set(self, **fields: Mapping[Any, Any]) -> None:
        changed = {name: MappingProxyType(value) for name, value in fields.items()}
        self.now = replace(self.now, at=self.clock(), **changed)
        oldest = self.as_of(self.clock() - STALE)
        self._past = [state for state in self._past if state.at >= oldest.at] + [self.now]

    def _uid(self, kind: str) -> str:
        self._uids += 1
        return f"{kind}-{self._uids}"

    def _thing(self, kind: str, namespace: str, *, bundle: BundleId | None = None) -> Thing:
        return Thing(
            uid=self._uid(kind), namespace=namespace, namespace_uid=self.now.namespaces[namespace],
            created_at=self.clock(), bundle=bundle,
        )  # fmt: skip

    def _finished(self, thing: Thing) -> Thing:
        return replace(thing, finished_at=thing.finished_at or self.clock())


class Mode(Enum):
    """How a watch is."""

    WHOLE = "whole"
    SILENT = "silent"  # it hears nothing any more, and does not know it yet
    BROKEN = "broken"


class Watch:
    """What one process knows of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._clock = cluster.clock
        self.mode = Mode.BROKEN
        self.owners_denied = False
        self.pods_denied = False
        self._state = State(at=self._clock())
        self._listed_at = self._clock()
        self._silent_since = self._clock()
        self._list_wanted = False
        self._changes = Changes()

    # --- what happens to it

    def list(self, *, stale: timedelta) -> None:
        """List all anew, by a server that is behind by `stale`; what the watch knew better stays."""
        # With a clear list, continuity is lost only where there was none.
        broken = self.mode is Mode.BROKEN
        shown = self._cluster.as_of(self._clock() - stale)
        if broken or shown.at >= self._state.at:
            self._take(shown)
        if broken:
            self._changes = replace(self._changes, all=True)
            self.mode = Mode.WHOLE
        self._listed_at = self._clock()
        self._list_wanted = False

    def gone(self, *, stale: timedelta) -> None:
        """410: everything has to be listed again."""
        self.mode = Mode.BROKEN
        self.list(stale=stale)

    def break_(self) -> None:
        self.mode = Mode.BROKEN

    def fall_silent(self) -> None:
        if self.mode is Mode.WHOLE:
            self.mode, self._silent_since = Mode.SILENT, self._clock()

    def deliver(self) -> None:
        """Hear of all events that there were."""
        if self.mode is Mode.WHOLE:
            self._take(self._cluster.now)

    def time_passed(self, span: timedelta, *, stale: timedelta) -> None:
        """Do what a watch does by itself meanwhile."""
        if span >= LATE:
            self.deliver()
        if self.mode is Mode.SILENT and self._clock() - self._silent_since >= SILENCE:
            self.break_()
        if self._list_wanted and self.mode is not Mode.BROKEN:
            self.list(stale=stale)

    def _take(self, state: State) -> None:
        before, self._state = self._state, state
        pods = {uid for uid in {*before.pods, *state.pods} if before.pods.get(uid) != state.pods.get(uid)}
        touched = [thing for uid in pods for thing in (before.pods.get(uid) or state.pods.get(uid),)]
        owners = {key for key in {*before.owners, *state.owners} if before.owners.get(key) != state.owners.get(key)}
        self._changes = Changes(
            bundles=self._changes.bundles | {(pod.namespace, pod.bundle) for pod in touched if pod and pod.bundle},
            owners=self._changes.owners | owners,
            # All in it are gone at once: bundles of the old one are not named by any event.
            all=self._changes.all or before.namespaces != state.namespaces,
        )

    # --- Sights

    def owner(self, tenant: Tenant, reference: OwnerReference) -> Sight:
        """See `Sights.owner`."""
        if self.mode is Mode.BROKEN or self.owners_denied:
            return Sight(seen=Seen.UNKNOWN)
        name = OwnerReference(api_version=reference.api_version, kind=reference.kind, name=reference.name)
        thing = self._state.owners.get((tenant.namespace, name))
        if thing is None or thing.namespace_uid != tenant.uid or reference.uid not in {None, thing.uid}:
            return Sight(seen=Seen.ABSENT, listed_at=self._listed_at)
        if thing.finished_at is not None:
            return Sight(seen=Seen.FINISHED, uid=thing.uid, since=thing.finished_at, listed_at=self._listed_at)
        return Sight(seen=Seen.ALIVE, uid=thing.uid)

    def pods(self, tenant: Tenant, bundle: BundleId) -> Sight:
        """See `Sights.pods`."""
        if self.mode is Mode.BROKEN or self.pods_denied:
            return Sight(seen=Seen.UNKNOWN)
        mine = [pod for pod in self._state.pods.values() if pod.bundle == bundle and pod.namespace_uid == tenant.uid]
        live = tuple(pod.uid for pod in mine if pod.finished_at is None)
        if live:
            return Sight(seen=Seen.ALIVE, names=live, count=len(live))
        ends = [pod.finished_at for pod in mine if pod.finished_at is not None]
        if ends:
            return Sight(seen=Seen.FINISHED, since=max(ends), listed_at=self._listed_at)
        return Sight(seen=Seen.ABSENT, listed_at=self._listed_at)

    def take_changes(self) -> Changes:
        """See `Sights.take_changes`."""
        taken, self._changes = self._changes, Changes()
        return taken

    def list_again(self, kinds: Collection[tuple[str, str]] | None = None) -> None:
        """See `Sights.list_again`."""
        del kinds
        self._list_wanted = True


def _is_sights(watch: Watch) -> Sights:
    return watch
