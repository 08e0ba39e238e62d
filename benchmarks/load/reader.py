"""A client that reads staged files: whole or in ranges, over a kept connection or new ones, fast or slowly."""

import asyncio
import hashlib
import random
import time
from enum import Enum
from typing import Final

from benchmarks.load.shelf import Book, Content
from benchmarks.load.uploader import Town
from benchmarks.load.wire import Wire, request_bytes
from benchmarks.scenario import KIB, MIB
from staging_protocol.digests import Digest

_WHOLE: Final = frozenset({200})
_PART: Final = frozenset({206})
_VERIFIED: Final = 0.02
"""Share of whole files that are compared with their digest; the others are thrown away by the kernel."""

_SLOW_PIECE: Final = 64 * KIB
_SLOW_PAUSE: Final = 0.05
_SLOW_MOST: Final = 4 * MIB
"""Bytes that a slow reader asks for at most: three seconds."""

_NOTHING_YET: Final = 0.1
"""Seconds until a reader looks again for a bundle of its namespace."""


class Habit(Enum):
    """How a client reads."""

    KEPT = "whole files over one connection"
    NEW = "a connection for each file"
    RANGE = "ranges over one connection"
    LOOKS = "the manifest, then HEAD of a file"
    SLOW = "a range, taken slowly"


_HABITS: Final = (
    Habit.KEPT, Habit.NEW, Habit.RANGE, Habit.KEPT, Habit.LOOKS, Habit.KEPT, Habit.NEW, Habit.SLOW, Habit.RANGE,
    Habit.KEPT,
)  # fmt: skip
"""Of ten readers, in their order: so it is known how many of a namespace have each."""


def habit_of(number: int) -> Habit:
    """Return the habit of the reader with this number within its namespace."""
    return _HABITS[number % len(_HABITS)]


class Reader:
    """One client of one namespace, with one habit."""

    def __init__(self, town: Town, *, namespace: str, number: int, seed: int) -> None:
        self._town = town
        self._namespace = namespace
        self._random = random.Random(seed)  # noqa: S311 - it chooses files
        self._habit = habit_of(number)
        self._wire: Wire | None = None

    async def run(self) -> None:
        """Read one file after the other until it is cancelled."""
        try:
            while True:
                await self._rest()
                book = self._book()
                if book is None:
                    await asyncio.sleep(_NOTHING_YET)
                    continue
                book.readers += 1
                try:
                    await self._read(book)
                except OSError as error:
                    self._town.tally.failed("reader", f"broke off ({error!r})")
                    self._close()
                finally:
                    book.readers -= 1
        finally:
            self._close()

    def _book(self) -> Book | None:
        """Return what to read next; who keeps a connection always reads the same, so that namespaces compare."""
        shelf = self._town.shelf
        if self._habit is Habit.KEPT:
            return shelf.standing.get(self._namespace)
        return shelf.some(self._namespace, self._random)

    async def _rest(self) -> None:
        """Wait for the next wave: a round moment, the same for all."""
        if wave := self._town.plan.wave:
            await asyncio.sleep(wave - time.monotonic() % wave)

    async def _read(self, book: Book) -> None:
        name, content = self._random.choice(list(book.files.items()))
        path = f"{book.path}/files/jar/{name}"
        match self._habit:
            case Habit.KEPT:
                await self._get(book, path, content, verify=self._random.random() < _VERIFIED)
            case Habit.NEW:
                self._close()
                await self._get(book, path, content, verify=self._random.random() < _VERIFIED)
            case Habit.RANGE:
                await self._get_range(book, path, self._some_range(content.size), slowly=False)
            case Habit.SLOW:
                await self._get_range(book, path, range(min(content.size, _SLOW_MOST)), slowly=True)
            case Habit.LOOKS:
                await self._ask("manifest", "GET", book, f"{book.path}/manifest")
                await self._ask("HEAD", "HEAD", book, path)
        share = self._town.tally.shares[self._namespace]
        share.reads += 1
        share.kept_reads += self._habit is Habit.KEPT

    async def _get(self, book: Book, path: str, content: Content, *, verify: bool) -> None:
        wire, size = await self._asked("GET", "GET", book, path, good=_WHOLE)
        if not verify:
            await self._take(wire, size, slowly=False)
            return
        body = await wire.body(size)
        self._count(size)
        self._town.tally.verified += 1
        if size and Digest.of_hash(hashlib.sha256(body).digest()) != content.digest:
            self._town.tally.failed("GET", "the bytes are not those of the digest")

    async def _get_range(self, book: Book, path: str, asked: range, *, slowly: bool) -> None:
        field = {"Range": f"bytes={asked.start}-{asked.stop - 1}"}
        what = "GET slowly" if slowly else "GET range"
        wire, size = await self._asked(what, "GET", book, path, good=_PART, fields=field)
        if size not in {0, len(asked)}:
            self._town.tally.failed(what, f"another size than asked for ({size}, {len(asked)})")
        await self._take(wire, size, slowly=slowly)

    async def _ask(self, what: str, method: str, book: Book, path: str) -> None:
        wire, size = await self._asked(what, method, book, path, good=_WHOLE)
        if method == "GET":
            await self._take(wire, size, slowly=False)

    async def _asked(
        self, what: str, method: str, book: Book, path: str, *, good: frozenset[int],
        fields: dict[str, str] | None = None,
    ) -> tuple[Wire, int]:  # fmt: skip
        """Send a request and return the size of the answer's body; of a refusal the body is read here, so 0."""
        if self._wire is None or self._wire.is_dropped():
            self._close()
            self._wire = await Wire.open(self._town.address)
        wire = self._wire
        fields = {"Authorization": f"Bearer {book.token}", **(fields or {})}
        await wire.send(request_bytes(method, path, fields=fields))
        head = await wire.head()
        if self._town.tally.answered(what, head, good=good):
            return wire, head.size
        await wire.body(head.size if method != "HEAD" else 0)
        if not head.keeps:
            self._close()
        await asyncio.sleep(float(head.fields.get("retry-after", "1")) * self._random.uniform(0.5, 1))
        return wire, 0

    async def _take(self, wire: Wire, size: int, *, slowly: bool) -> None:
        while size > 0:
            count = await wire.discard(size, at_once=_SLOW_PIECE if slowly else MIB)
            size -= count
            self._count(count)
            if slowly:
                await asyncio.sleep(_SLOW_PAUSE)

    def _some_range(self, size: int) -> range:
        start = self._random.randrange(size)
        return range(start, self._random.randint(start + 1, size))

    def _count(self, count: int) -> None:
        self._town.tally.shares[self._namespace].bytes_down += count

    def _close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
