"""What the API server sends in lists and watches, cut down to what is looked at, and what is kept of it.

The status stays bytes until somebody has to look: one with nonsense in it (a custom resource may hold anything) must
not keep a whole list from being read.  What is kept of an object has about half a KB, with its name and its places in
the indexes (benchmarks/, "watch with 10,000 pods").
"""

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from staging_protocol import pod_contract

_NOTHING: Final = msgspec.Raw(b"null")


class Labels(msgspec.Struct, frozen=True, gc=False):
    """The one label that counts."""

    bundle: str | None = msgspec.field(name=pod_contract.LABEL, default=None)


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`metadata` of an object; a bookmark has the version only."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: Labels | None = None


class Item(msgspec.Struct, frozen=True):
    """An object of any kind."""

    metadata: Metadata
    status: msgspec.Raw = _NOTHING


class ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """`metadata` of a page of a list."""

    resource_version: str = ""
    next_page: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct, frozen=True):
    """A page of a list; without objects `items` may be null."""

    metadata: ListMetadata
    items: list[Item] | None = None


class Event(msgspec.Struct, frozen=True):
    """A line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    object: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """The object of an ERROR (meta/v1 Status)."""

    code: int = 0
    reason: str = ""


class End(msgspec.Struct, frozen=True, gc=False):
    """An object has finished for good; `at` is what its status says about when."""

    at: datetime | None = None


class Kept(msgspec.Struct, frozen=True, gc=False):
    """What is kept of an object; equal ones have the same life.

    Attributes:
        uid: of the object.
        bundle: value of the label, as it is.
        end: that it has finished for good, and when.
    """

    uid: str
    bundle: str | None = None
    end: End | None = None


class Objects:
    """The objects of one kind by namespace and name, and by the bundle of their label."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Kept]] = {}
        self._labelled: dict[tuple[str, str], set[str]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(len(names) for names in self._objects.values())

    def __iter__(self) -> Iterator[tuple[str, str, Kept]]:
        """Yield namespace, name and what is kept."""
        for namespace, names in self._objects.items():
            for name, kept in names.items():
                yield namespace, name, kept

    def get(self, namespace: str, name: str) -> Kept | None:
        """Return what is kept of an object."""
        return self._objects.get(namespace, {}).get(name)

    def labelled(self, namespace: str, bundle: str) -> Iterator[tuple[str, Kept]]:
        """Yield name and what is kept of those with the bundle's label."""
        names = self._objects.get(namespace, {})
        for name in self._labelled.get((namespace, bundle), ()):
            yield name, names[name]

    def put(self, namespace: str, name: str, kept: Kept) -> Kept | None:
        """Keep an object; return what was kept of it before."""
        # A thousand executors share these two texts.
        namespace, bundle = sys.intern(namespace), kept.bundle
        before = self.get(namespace, name)
        if before is not None and before.bundle != bundle:
            self._unlabel(namespace, name, before)
        self._objects.setdefault(namespace, {})[name] = kept
        if bundle is not None:
            self._labelled.setdefault((namespace, bundle), set()).add(name)
        return before

    def remove(self, namespace: str, name: str) -> Kept | None:
        """Forget an object; return what was kept of it."""
        names = self._objects.get(namespace, {})
        before = names.pop(name, None)
        if before is not None:
            self._unlabel(namespace, name, before)
        if not names:
            self._objects.pop(namespace, None)
        return before

    def _unlabel(self, namespace: str, name: str, kept: Kept) -> None:
        if kept.bundle is None:
            return
        names = self._labelled[namespace, kept.bundle]
        names.discard(name)
        if not names:
            del self._labelled[namespace, kept.bundle]


def differences(before: Objects, after: Objects) -> Iterator[tuple[str, str, Kept | None, Kept | None]]:
    """Yield namespace, name, what was kept and what is kept, of all whose life is another."""
    for namespace, name, new in after:
        old = before.get(namespace, name)
        if old != new:
            yield namespace, name, old, new
    for namespace, name, old in before:
        if after.get(namespace, name) is None:
            yield namespace, name, old, None
