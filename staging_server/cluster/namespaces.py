"""Which tenant a namespace is now: the uid of its object, asked with one GET, for which a Role in it is enough.

Whoever comes while a question is under way shares its answer, and so does who comes within ten seconds, yes or no.
A namespace that was made anew is so noticed within ten seconds.  Strangers may name any namespace: only some questions
are asked at once, and who finds all places taken is told to come back.
"""

import asyncio
from typing import Final

from staging_protocol.errors import NotFound, Unavailable
from staging_server.cluster.api import ClusterApi
from staging_server.cluster.discretion import in_confidence
from staging_server.cluster.kinds import NAMESPACES
from staging_server.cluster.objects import Item
from staging_server.namespaces import Tenants
from staging_server.recent import Recent
from staging_server.settings import KubernetesSettings
from staging_server.tenants import Tenant

_SECONDS: Final = 10.0
_MOST: Final = 10_000
"""Answers that are kept, about 5 MB."""
_AT_ONCE: Final = 32
"""Questions; each takes milliseconds, so that some thousand namespaces a second can be asked for."""


class Namespaces:
    """The tenants of a cluster."""

    def __init__(self, api: ClusterApi, settings: KubernetesSettings) -> None:
        self._api = api
        self._settings = settings
        self._recent: Recent[str, str | None] = Recent(seconds=_SECONDS, most=_MOST)
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def find(self, namespace: str) -> Tenant:
        """Return the tenant that a namespace is.

        Raises:
            NotFound: there is no such namespace, or this server does not serve it.
            Unavailable: Kubernetes did not say.
        """
        cluster, served = self._settings.cluster, self._settings.namespaces
        if served and namespace not in served:
            msg = f"this server does not serve the namespace {namespace}; it serves {', '.join(served)}"
            raise NotFound(msg)
        uid = await self._recent.ask(namespace, lambda: self._uid(namespace))
        if uid is None:
            msg = f"there is no namespace {namespace} in the cluster {cluster}"
            raise NotFound(msg)
        return Tenant(cluster=cluster, namespace=namespace, uid=uid)

    async def _uid(self, namespace: str) -> str | None:
        if self._places.locked():
            raise Unavailable("too many namespaces are being looked for; come back soon", retry_after=1)
        async with self._places:
            try:
                found = await in_confidence(self._api.get(f"{NAMESPACES.cluster_path}/{namespace}", into=Item))
            except NotFound:
                return None
            return found.metadata.uid


_: type[Tenants] = Namespaces
