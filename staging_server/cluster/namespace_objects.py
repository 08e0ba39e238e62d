"""Which object a namespace is now, and since when what is in it is that object's.

A tenant is a namespace object.  Once another object of the name is there, the old one is gone with all that was in it;
what a watch knows under that name counts for the new one only after a list that was begun later, since the last events
of the old one may still be on their way.  The first answer about a tenant that does not fit what we know may be as
wrong as our knowledge is old, so it is `unknown` until the namespaces were listed once more.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from staging_server.cluster.objects import Kept
from staging_server.cluster.watching import Watch
from staging_server.tenants import Tenant

Key = TypeVar("Key")

_MOST: Final = 10_000
"""Names that are remembered, about 2 MB; beyond, the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a tenant: that its namespace object is there or gone, by a list that was begun `listed_at`."""

    is_there: bool
    listed_at: datetime


class NamespaceObjects:
    """The namespaces that the watches see; used with their lock held."""

    def __init__(self, find: Callable[[str], Watch | None], *, soon: Callable[[Callable[[], None]], None]) -> None:
        """Make it.

        Args:
            find: returns the watch that sees a namespace.
            soon: calls something on the event loop.
        """
        self._find = find
        self._soon = soon
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._doubts: OrderedDict[Tenant, float] = OrderedDict()

    def changed(self, name: str, old: Kept | None, new: Kept | None) -> bool:
        """Note that a namespace has another object than before; return whether the old one is gone."""
        if old is None or (new is not None and new.uid == old.uid):
            return False
        _remember(self._ended, name)
        return True

    def standing(self, tenant: Tenant) -> Standing | None:
        """Return what is known of a tenant; None when nothing is clear."""
        watch = self._find(tenant.namespace)
        if watch is None or watch.listed_at is None:
            return None
        here = watch.objects.get("", tenant.namespace)
        if here is not None and here.uid == tenant.uid:
            self._doubts.pop(tenant, None)
            return Standing(True, watch.listed_at)
        if tenant not in self._doubts:
            _remember(self._doubts, tenant)
        if watch.listed_since > self._doubts[tenant]:
            return Standing(False, watch.listed_at)
        if not watch.is_list_due:
            self._soon(watch.list_again)
        return None

    def is_fresh(self, watch: Watch, namespace: str) -> bool:
        """Tell whether what `watch` knows of a namespace is of its present object; if not, a list is asked for."""
        fresh = watch.listed_since > self._ended.get(namespace, 0.0)
        if not fresh and not watch.is_list_due:
            self._soon(watch.list_again)
        return fresh


def _remember(times: OrderedDict[Key, float], key: Key) -> None:
    times[key] = time.monotonic()
    times.move_to_end(key)
    if len(times) > _MOST:
        times.popitem(last=False)
