"""One kind of objects, listed once and followed from there: what the API server has said of it is in memory.

    asleep ── wanted ──→ list ──→ whole: follow from the list's version, watch after watch ──→ list again …
                          ↑  │                    │
                          │  └── error: broken ←──┤ 410, error, silence
                          └──── pause ←───────────┘

A watch that ends in order goes on where it was.  One that broke goes on where it was if it had worked and can be
opened again at once; until then, and whenever that fails, nothing is known of the kind, and it is listed anew.  A list
that was only asked for to confirm what is known leaves everything known as it is while it runs.

Changes are made on the event loop with the lock held.  Whoever holds the lock may look, from any thread.
"""

import asyncio
import time
from contextlib import aclosing
from datetime import datetime
from threading import Lock
from typing import Final, NoReturn, Protocol

import msgspec
import structlog

from staging_protocol.errors import InternalError, StagingError, Unavailable
from staging_server.cluster.api import ListAgain
from staging_server.cluster.kinds import Kind
from staging_server.cluster.listing import Listed, Source
from staging_server.cluster.objects import End, Event, Failure, Item, Kept, Objects, differences
from staging_server.cluster.observer import SILENT, WatchObserver
from staging_server.cluster.pauses import Pauses
from staging_server.settings import KubernetesSettings
from staging_server.times import Clock, utc_now

_log: Final = structlog.get_logger("kubernetes")
_EVENT: Final = msgspec.json.Decoder(Event)
_ITEM: Final = msgspec.json.Decoder(Item)
_WORKED: Final = 30.0
"""Seconds after which a watch has worked, even if there was nothing to tell."""


class Told(Protocol):
    """Hears of changes, on the event loop and with the lock held."""

    def changed(self, kind: Kind, namespace: str, name: str, old: Kept | None, new: Kept | None, /) -> None:
        """An object has another life than before."""

    def lost(self, kind: Kind, namespace: str, /) -> None:
        """A watch broke: nothing is known now."""

    def found(self, kind: Kind, namespace: str, /) -> None:
        """All is known, for the first time or again; what changed meanwhile is told, but not what came and went."""


class Watch:
    """The objects of a source."""

    def __init__(
        self,
        source: Source,
        *,
        settings: KubernetesSettings,
        lock: Lock,
        told: Told,
        clock: Clock = utc_now,
        observer: WatchObserver = SILENT,
    ) -> None:
        self._source = source
        self._name = source.kind.name, source.namespace
        self._settings = settings
        self._lock = lock
        self._told = told
        self._clock = clock
        self._observer = observer
        self._objects = Objects()
        self._listed_at: datetime | None = None
        self._listed_since = 0.0
        self._whole = False
        self._worked = False
        self._version: str | None = None
        self._wanted = asyncio.Event()
        self._pauses = Pauses(longest=settings.longest_pause)
        self._complaint = ""
        self._began = 0.0
        self._list_due: float | None = None
        self._until_list: asyncio.Timeout | None = None

    @property
    def objects(self) -> Objects:
        """Return what is known, or was when `listed_at` is None."""
        return self._objects

    @property
    def listed_at(self) -> datetime | None:
        """Return when the newest whole list was begun, if all is known since; else None: nothing is known."""
        return self._listed_at if self._whole else None

    @property
    def listed_since(self) -> float:
        """Return the same by `time.monotonic`."""
        return self._listed_since

    @property
    def is_wanted(self) -> bool:
        """Tell whether it has begun."""
        return self._wanted.is_set()

    @property
    def is_list_due(self) -> bool:
        """Tell whether a list was asked for that has not begun."""
        return self._list_due is not None

    def want(self) -> None:
        """Begin, if that has not happened; until somebody asks, nothing is watched."""
        self._wanted.set()

    def list_again(self) -> None:
        """Ask for a list that begins after now, as soon as `list_every` allows."""
        if self._list_due is None and self.is_wanted:
            self._list_due = self._began + self._settings.list_every
            if self._until_list is not None:
                self._until_list.reschedule(self._list_due)

    async def run(self) -> NoReturn:
        """Watch until cancelled; nothing is known after that."""
        await self._wanted.wait()
        try:
            while True:
                retry_after = await self._until_it_breaks()
                await self._pauses.pause(at_least=retry_after)
        finally:
            with self._lock:
                self._whole = False
            self._observer.watch_closed(*self._name)

    async def _until_it_breaks(self) -> float | None:
        """List and follow; return how long the API server asks to wait when that is no longer possible."""
        try:
            while True:
                await self._list()
                await self._follow_until_list_is_due()
        except ListAgain:
            self._break(Unavailable("the API server no longer has what happened since the last list"))
        except StagingError as error:
            self._break(error)
            return error.retry_after
        except Exception:  # noqa: BLE001 - the outermost loop of this watch; the others go on, and this one keeps all
            _log.exception("watch failed", kind=self._name[0], namespace=self._name[1])
            self._break(InternalError("see the log"))
        return None

    # --- the list

    async def _list(self) -> None:
        self._began, self._list_due = time.monotonic(), None
        at = self._clock()
        listed = await self._source.list(self._keep)
        with self._lock:
            self._take(listed, at=at)
        seconds = time.monotonic() - self._began
        self._observer.watch_heard(*self._name)
        self._observer.watch_listed(*self._name, objects=len(listed.objects), seconds=seconds)

    def _take(self, listed: Listed, *, at: datetime) -> None:
        before = self._objects
        self._objects, self._version = listed.objects, listed.version
        self._listed_at, self._listed_since = at, self._began
        self._mend()
        for change in differences(before, listed.objects):
            self._told.changed(self._source.kind, *change)

    # --- the watch

    async def _follow_until_list_is_due(self) -> None:
        try:
            async with asyncio.timeout_at(self._list_due) as self._until_list:
                while self._version is not None:
                    await self._follow(self._version)
                await asyncio.sleep(self._settings.look_every)
        except TimeoutError:  # ours: those of requests are Unavailable
            return
        finally:
            self._until_list = None

    async def _follow(self, version: str) -> None:
        """Follow one watch to its end."""
        began, self._worked = time.monotonic(), False
        retry_after = None
        try:
            await self._watch_once(version)
        except Unavailable as error:
            if not self._whole or not (self._worked or time.monotonic() - began >= _WORKED):
                raise
            self._break(error)
            retry_after = error.retry_after
        await self._pauses.pause(at_least=retry_after)

    async def _watch_once(self, version: str) -> None:
        async with aclosing(self._source.watch(version)) as lines:
            async for line in lines:
                if line:
                    self._hear(line)
                else:
                    with self._lock:
                        self._mend()
                self._observer.watch_heard(*self._name)

    def _hear(self, line: bytes) -> None:
        try:
            event = _EVENT.decode(line)
            if event.type == "ERROR":  # 410 for the most part; after any other one a list is better, too
                raise ListAgain(msgspec.json.decode(event.object, type=Failure).reason)
            item = _ITEM.decode(event.object)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"a watch tells what is no event: {error}"
            raise Unavailable(msg) from error
        if event.type != "BOOKMARK":
            with self._lock:
                self._apply(event.type, item)
        self._version, self._worked = item.metadata.resource_version, True
        self._pauses.reset()

    def _apply(self, what: str, item: Item) -> None:
        namespace, name = item.metadata.namespace, item.metadata.name
        before = self._objects.get(namespace, name)
        if what == "DELETED":
            self._objects.remove(namespace, name)
        else:
            self._keep(self._objects, item)
        after = self._objects.get(namespace, name)
        if before != after:
            self._told.changed(self._source.kind, namespace, name, before, after)

    def _keep(self, objects: Objects, item: Item) -> None:
        metadata = item.metadata
        end = self._source.kind.finished(item.status)
        if end is not None and end.at is None:
            known = self._objects.get(metadata.namespace, metadata.name)
            end = known.end if known is not None and known.uid == metadata.uid else None
            end = end or End(self._clock())
        bundle = metadata.labels.bundle if metadata.labels is not None else None
        objects.put(metadata.namespace, metadata.name, Kept(uid=metadata.uid, bundle=bundle, end=end))

    # --- whole and broken

    def _mend(self) -> None:
        if self._whole:
            return
        self._whole = True
        self._told.found(self._source.kind, self._source.namespace)
        self._observer.watch_whole(*self._name)
        if self._complaint:
            _log.info("watch is whole again", kind=self._name[0], namespace=self._name[1])
            self._complaint = ""

    def _break(self, error: StagingError) -> None:
        with self._lock:
            if self._whole:
                self._told.lost(self._source.kind, self._source.namespace)
            self._whole = False
        self._observer.watch_broken(*self._name, code=error.code)
        if error.detail != self._complaint:
            self._complaint = error.detail
            kind, namespace = self._name
            _log.warning("watch is broken", kind=kind, namespace=namespace, code=error.code, detail=error.detail)
