"""Contents that uploaders send, and bundles that readers may read."""

import dataclasses
import math
import random
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.data import Stamped
from staging_protocol.digests import Digest

_REPEATED: Final = 0.25
"""Share of files that somebody staged before, as teams share libraries."""

_REMEMBERED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One file: a common part, then a stamp."""

    common: Stamped
    stamp: bytes
    digest: Digest
    is_new: bool

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return self.common.size


class Contents:
    """New contents and repeated ones, of the sizes of a plan."""

    def __init__(self, folder: Path, *, sizes: tuple[tuple[int, float], ...], seed: int) -> None:
        self._commons = [Stamped(folder / f"common-{size}", size=size) for size, _ in sizes]
        self._weights = [weight for _, weight in sizes]
        self._random = random.Random(seed)  # noqa: S311 - it chooses sizes
        self._past: deque[Content] = deque(maxlen=_REMEMBERED)

    def some(self) -> Content:
        """Return a content, new or known."""
        if self._past and self._random.random() < _REPEATED:
            return self._random.choice(self._past)
        (common,) = self._random.choices(self._commons, self._weights)
        content = _new(common)
        self._past.append(dataclasses.replace(content, is_new=False))
        return content

    def one_of_each(self) -> list[Content]:
        """Return a new content of each size but the largest: the same for every namespace."""
        return [_new(common) for common in self._commons[:-1]]


def _new(common: Stamped) -> Content:
    stamp, digest = common.new()
    return Content(common=common, stamp=stamp, digest=digest, is_new=True)


@dataclass(slots=True, kw_only=True)
class Book:
    """A sealed bundle: its path, what opens it, its files by name, and how many are reading it.

    Reading must have begun before `until`.
    """

    path: str
    token: str
    files: dict[str, Content]
    until: float = math.inf
    readers: int = 0


class Shelf:
    """Sealed bundles by namespace, newest last, and one for each that stays: reading it is what keeps it alive."""

    def __init__(self) -> None:
        self.standing: dict[str, Book] = {}
        self._fresh: defaultdict[str, deque[Book]] = defaultdict(deque)
        self._finished: defaultdict[str, list[Book]] = defaultdict(list)

    def put(self, namespace: str, book: Book) -> None:
        """Let readers have it."""
        self._fresh[namespace].append(book)

    def some(self, namespace: str, chance: random.Random) -> Book | None:
        """Return one that is fresh enough, else the one that stays; None when there is none yet."""
        books = self._fresh[namespace]
        while books and books[0].until < time.monotonic():
            self._finished[namespace].append(books.popleft())
        return chance.choice(books) if books else self.standing.get(namespace)

    def take_finished(self, namespace: str) -> list[Book]:
        """Return, once, those that nobody reads any more."""
        every = self._finished[namespace]
        unread = [book for book in every if not book.readers]
        self._finished[namespace] = [book for book in every if book.readers]
        return unread
