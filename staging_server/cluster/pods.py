"""One pod that a request is about: from the watch where this process has one and it is there, else asked for.

A thousand executors ask within seconds, each for its own pod.  That a pod is there is good for a minute; that it is
not, for ten seconds, as it may only just have been made.  A process that does not watch asks once a minute for each.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

from staging_protocol.errors import NotFound, Unavailable
from staging_server.cluster.api import ClusterApi
from staging_server.cluster.discretion import in_confidence
from staging_server.cluster.kinds import PODS
from staging_server.cluster.objects import Item
from staging_server.recent import Recent

_YES: Final = 50.0
_NO: Final = 10.0
"""Seconds.  An answer may come out of both memories, one after the other: a minute in all."""
_MOST: Final = 20_000
"""Answers that are kept, about 15 MB."""
_AT_ONCE: Final = 64
"""Questions that are asked at once; more wait."""
_WITHIN: Final = 30.0
"""Seconds for a question with its wait; whoever asks for a pod is a pod that starts, and tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSight:
    """A pod that is there.

    Attributes:
        namespace: of the pod.
        name: of the pod.
        uid: of the pod.
        bundle: value of its label, as it is.
        alive: neither Succeeded nor Failed; it may be about to be deleted.
    """

    namespace: str
    name: str
    uid: str
    bundle: str | None
    alive: bool


class KnownPods(Protocol):
    """Pods that are known without asking."""

    def find_pod(self, namespace: str, name: str) -> PodSight | None:
        """Return a pod; None when it is not known."""
        ...


class Pods:
    """The pods of a cluster."""

    def __init__(self, api: ClusterApi, *, known: KnownPods | None = None) -> None:
        """Make it; `known` is there where this process watches."""
        self._api = api
        self._known = known
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._answers: Recent[tuple[str, str, str], PodSight | None] = Recent(seconds=_NO, most=_MOST)
        self._there: Recent[tuple[str, str, str], PodSight] = Recent(seconds=_YES, most=_MOST)

    async def find_pod(self, namespace: str, name: str, *, uid: str = "") -> PodSight | None:
        """Return a pod, or None when there is none of that name.

        With `uid` an answer of a moment ago about another pod of that name does not count; the one returned may still
        have another uid.

        Raises:
            Unavailable: Kubernetes did not say.
        """
        known = self._known.find_pod(namespace, name) if self._known is not None else None
        if known is not None and uid in {"", known.uid}:
            return known
        key = namespace, name, uid
        return await self._answers.ask(key, lambda: self._find(key))

    async def _find(self, key: tuple[str, str, str]) -> PodSight | None:
        try:
            return await self._there.ask(key, lambda: self._get(key))
        except NotFound:
            return None

    async def _get(self, key: tuple[str, str, str]) -> PodSight:
        namespace, name, _ = key
        path = f"{PODS.path(quote(namespace, safe=''))}/{quote(name, safe='')}"
        try:
            async with asyncio.timeout(_WITHIN), self._places:
                found = await in_confidence(self._api.get(path, into=Item))
        except TimeoutError as error:
            raise Unavailable("too many pods are being looked for; come back soon", retry_after=1) from error
        metadata = found.metadata
        bundle = metadata.labels.bundle if metadata.labels is not None else None
        alive = PODS.finished(found.status) is None
        return PodSight(namespace=namespace, name=name, uid=metadata.uid, bundle=bundle, alive=alive)
