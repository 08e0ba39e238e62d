"""From settings to who says who asks, and which tenant a namespace is; for one process, as long as it serves."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from staging_server.auth.anonymous import Anonymous
from staging_server.auth.base import Authenticator
from staging_server.auth.kubernetes import ByKubernetes
from staging_server.auth.observer import SILENT as UNCOUNTED
from staging_server.auth.observer import ReviewObserver
from staging_server.auth.tokens import ByTokens
from staging_server.cluster.api import ClusterApi, open_cluster_api
from staging_server.cluster.namespaces import Namespaces
from staging_server.cluster.observer import SILENT, WatchObserver
from staging_server.cluster.pods import Pods, PodSight
from staging_server.cluster.watched import Watched, open_sights
from staging_server.known_tokens import AccessTokens
from staging_server.namespaces import NamesOnly, Tenants
from staging_server.owned import owned
from staging_server.retention.lead import OpenSights
from staging_server.retention.sights import Sights
from staging_server.settings import AuthMode, AuthSettings, Connect, KubernetesSettings, Settings
from staging_server.times import Clock, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What requests are looked at by.  `open_sights` begins to watch the cluster, where one is connected."""

    authenticator: Authenticator
    tenants: Tenants
    open_sights: OpenSights | None = None


@asynccontextmanager
async def open_gate(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    watches: WatchObserver = SILENT,
    reviews: ReviewObserver = UNCOUNTED,
) -> AsyncIterator[Gate]:
    """Open what the settings ask for.

    Raises:
        InvalidRequest: the file of tokens is not valid.
    """
    async with AsyncExitStack() as stack:
        if settings.kubernetes.connect is not Connect.NO:
            yield await _open_cluster(settings, stack, _Watch(clock, watches), reviews)
        else:
            yield Gate(authenticator=await _without_cluster(settings.auth, stack), tenants=NamesOnly())


class _Watch:
    """The watch of this process, while it has one: only one process watches a cluster."""

    def __init__(self, clock: Clock, observer: WatchObserver) -> None:
        self._clock = clock
        self._observer = observer
        self._watched: Watched | None = None

    @asynccontextmanager
    async def open(
        self, cluster: ClusterApi, settings: KubernetesSettings, known: Callable[[], None]
    ) -> AsyncIterator[Sights]:
        """See `lead.OpenSights`."""
        opening = open_sights(cluster, settings, clock=self._clock, observer=self._observer, known=known)
        async with opening as watched:
            self._watched = watched
            try:
                yield watched
            finally:
                self._watched = None

    def find_pod(self, namespace: str, name: str) -> PodSight | None:
        """Return a pod that the watch knows."""
        return None if self._watched is None else self._watched.find_pod(namespace, name)


async def _open_cluster(settings: Settings, stack: AsyncExitStack, watch: _Watch, reviews: ReviewObserver) -> Gate:
    cluster = await stack.enter_async_context(open_cluster_api(settings.kubernetes))
    tenants = Namespaces(cluster, settings.kubernetes)
    sights = functools.partial(watch.open, cluster, settings.kubernetes)
    authenticator: Authenticator
    if settings.auth.mode is AuthMode.KUBERNETES:
        pods = Pods(cluster, known=watch)
        authenticator = ByKubernetes(cluster, pods, settings=settings.auth, observer=reviews)
    else:
        authenticator = await _without_cluster(settings.auth, stack)
    return Gate(authenticator=authenticator, tenants=tenants, open_sights=sights)


async def _without_cluster(settings: AuthSettings, stack: AsyncExitStack) -> Authenticator:
    if settings.tokens_file is None:
        return Anonymous()
    tokens = await asyncio.to_thread(AccessTokens, settings.tokens_file)
    await stack.enter_async_context(owned(tokens.watch(every=settings.reload_every)))
    return ByTokens(tokens)
