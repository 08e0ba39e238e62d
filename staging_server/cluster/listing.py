"""What a watch stands on: one whole list, and how to go on from there.

A list comes page by page, as of one moment.  It is asked for without a version, so that it is read from what is
committed and never from a cache that may be behind: only such a list may say that something is absent.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec import Raw

from staging_protocol.errors import NotFound, Unavailable
from staging_server.cluster.api import ClusterApi
from staging_server.cluster.kinds import NAMESPACES, Kind
from staging_server.cluster.objects import Item, Objects, Page

Keep = Callable[[Objects, Item], None]
"""Puts what counts of an item into objects."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A whole list; `version` is where a watch goes on, None when there is nothing to watch: list again later."""

    objects: Objects
    version: str | None


class Source(Protocol):
    """Objects of one kind, in one namespace or in the cluster."""

    @property
    def kind(self) -> Kind:
        """Return their kind."""
        ...

    @property
    def namespace(self) -> str:
        """Return where they are, empty for the whole cluster."""
        ...

    async def list(self, keep: Keep) -> Listed:
        """List all of them.

        Raises:
            ListAgain: the API server no longer knows the moment of the first page.
            StagingError: as `ClusterApi.get`.
        """
        ...

    def watch(self, version: str) -> AsyncGenerator[bytes]:
        """Yield the lines of a watch from `version` on, as `ClusterApi.watch`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """All objects of a kind, which can be listed and watched."""

    api: ClusterApi
    kind: Kind
    namespace: str
    page_size: int

    async def list(self, keep: Keep) -> Listed:
        """List page by page."""
        objects = Objects()
        query: dict[str, str | int] = {**self.kind.query, "limit": self.page_size}
        while True:
            page = await self._page(query)
            if page is None:
                return Listed(objects, None)
            for item in page.items or ():
                keep(objects, item)
            if not page.metadata.next_page:
                return Listed(objects, page.metadata.resource_version)
            query["continue"] = page.metadata.next_page

    def watch(self, version: str) -> AsyncGenerator[bytes]:
        """Watch, with bookmarks, so that the version stays young where nothing happens."""
        query = {**self.kind.query, "allowWatchBookmarks": "true", "resourceVersion": version}
        return self.api.watch(self.kind.path(self.namespace), query=query, accept=self.kind.accept(of_list=False))

    async def _page(self, query: dict[str, str | int]) -> Page | None:
        """Return a page, or None for a kind that is not installed.

        Where the whole API group is unknown no object of the kind can be there: who deletes a custom resource
        definition deletes them all.  So its owners are absent, which as always counts only when a second list says so.
        Where the group is there without this version the objects may live on under another one; nobody knows, and
        unknown keeps.
        """
        accept = self.kind.accept(of_list=True)
        try:
            return await self.api.get(self.kind.path(self.namespace), into=Page, query=query, accept=accept)
        except NotFound as error:
            if self.kind.installed_later and not await self._has_group():
                return None
            msg = f"the API server does not know {self.kind.cluster_path}"
            raise Unavailable(msg) from error

    async def _has_group(self) -> bool:
        try:
            await self.api.get(self.kind.group, into=Raw)
        except NotFound:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedNamespace:
    """One namespace, by name.  A Role in it lets us read it, but neither list nor watch it."""

    api: ClusterApi
    namespace: str
    kind: Kind = NAMESPACES

    async def list(self, keep: Keep) -> Listed:
        """Get it."""
        objects = Objects()
        try:
            item = await self.api.get(f"{self.kind.cluster_path}/{self.namespace}", into=Item)
        except NotFound:
            return Listed(objects, None)
        keep(objects, item)
        return Listed(objects, None)

    def watch(self, version: str) -> AsyncGenerator[bytes]:
        """Never called, as `list` gives no version."""
        raise NotImplementedError(version)


_: tuple[type[Source], ...] = (Collection, NamedNamespace)
