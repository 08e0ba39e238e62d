"""What changed since somebody asked, in the words of `sights.Changes`; bounded, as nobody may ask for long."""

from collections.abc import Iterator
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.owners import OWNER_KINDS, OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.cluster.kinds import Kind
from staging_server.cluster.objects import Kept
from staging_server.retention.sights import Changes

_MOST: Final = 50_000
"""Changes, some 20 MB; beyond, everything may have changed."""


class Pending:
    """Changes that nobody has taken."""

    def __init__(self) -> None:
        self._bundles: set[tuple[str, BundleId]] = set()
        self._owners: set[tuple[str, OwnerReference]] = set()
        self._all = False
        self._is_full = False

    def add(self, kind: Kind, namespace: str, name: str, lives: tuple[Kept | None, Kept | None]) -> None:
        """Note that an object has another life: the old and the new one.

        Also when all may have changed: what a list shows for the first time is claimed by nobody yet.
        """
        if self._is_full:
            return
        self._bundles.update((namespace, bundle) for bundle in _bundles(lives))
        if kind.owner in OWNER_KINDS:
            api_version, kind_name = kind.owner
            self._owners.add((namespace, OwnerReference(api_version=api_version, kind=kind_name, name=name)))
        if len(self._bundles) + len(self._owners) > _MOST:
            self._bundles, self._owners, self._all, self._is_full = set(), set(), True, True

    def add_all(self) -> None:
        """Note that everything may have changed."""
        self._all = True

    def take(self) -> Changes:
        """Return what was noted, and forget it."""
        taken = Changes(bundles=frozenset(self._bundles), owners=frozenset(self._owners), all=self._all)
        self._bundles, self._owners, self._all, self._is_full = set(), set(), False, False
        return taken


def _bundles(lives: tuple[Kept | None, Kept | None]) -> Iterator[BundleId]:
    """Yield the bundles of the labels; whoever makes a pod may write anything into one."""
    for text in {life.bundle for life in lives if life is not None}:
        if text is not None:
            try:
                yield BundleId(text)
            except InvalidRequest:
                continue
