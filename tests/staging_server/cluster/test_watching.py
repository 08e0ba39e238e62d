"""What one watch does when its source says what a healthy API server does not."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock

import pytest
from structlog.testing import capture_logs

from staging_protocol.errors import Denied, Unavailable
from staging_server.cluster.api import ListAgain
from staging_server.cluster.kinds import PODS, Kind
from staging_server.cluster.listing import Keep, Listed, Source
from staging_server.cluster.objects import Item, Kept, Metadata, Objects
from staging_server.cluster.watching import Told, Watch
from staging_server.settings import KubernetesSettings
from tests.staging_server.cluster.lab import Heard, eventually

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class _Silence(Exception):
    """The watch stays open and says nothing more."""


@dataclass
class _Scripted:
    """A source that says what it was told to, and raises the errors among it."""

    lists: Sequence[Sequence[str] | Exception]
    watches: Sequence[Sequence[bytes | Exception]] = ()
    kind: Kind = PODS
    namespace: str = ""
    listed: int = 0
    watched: list[str] = field(default_factory=list)

    async def list(self, keep: Keep) -> Listed:
        script = self.lists[min(self.listed, len(self.lists) - 1)]
        self.listed += 1
        if isinstance(script, Exception):
            raise script
        objects = Objects()
        for name in script:
            keep(objects, Item(Metadata(name=name, namespace="team", uid=name)))
        return Listed(objects, f"list-{self.listed}")

    async def watch(self, version: str) -> AsyncGenerator[bytes]:
        number = len(self.watched)
        self.watched.append(version)
        steps: Sequence[bytes | Exception] = self.watches[number] if number < len(self.watches) else [b"", _Silence()]
        for step in steps:
            if isinstance(step, _Silence):
                await asyncio.get_running_loop().create_future()
            if isinstance(step, Exception):
                raise step
            yield step


_: type[Source] = _Scripted


@dataclass
class _Ear:
    """Notes what the watch tells."""

    changes: list[str] = field(default_factory=list)
    lost_times: int = 0
    found_times: int = 0

    def changed(self, _kind: Kind, _namespace: str, name: str, _old: Kept | None, _new: Kept | None, /) -> None:
        self.changes.append(name)

    def lost(self, _kind: Kind, _namespace: str, /) -> None:
        self.lost_times += 1

    def found(self, _kind: Kind, _namespace: str, /) -> None:
        self.found_times += 1


_ear: type[Told] = _Ear


@asynccontextmanager
async def _running(
    source: _Scripted, *, ear: _Ear | None = None, heard: Heard | None = None, list_every: float = 0.05
) -> AsyncIterator[Watch]:
    settings = KubernetesSettings(list_every=list_every, look_every=0.05, longest_pause=1)
    ticks = iter(range(1_000_000))
    watch = Watch(
        source,
        settings=settings,
        lock=Lock(),
        told=ear or _Ear(),
        clock=lambda: _EPOCH + timedelta(seconds=next(ticks)),
        observer=heard or Heard(),
    )
    watch.want()
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _event(what: str, name: str, *, version: str = "5", **more: object) -> bytes:
    metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": version}
    return json.dumps({"type": what, "object": {"metadata": metadata, **more}}).encode()


async def test_nothing_is_asked_until_somebody_wants_it() -> None:
    source = _Scripted([["one"]])
    watch = Watch(source, settings=KubernetesSettings(), lock=Lock(), told=_Ear())
    task = asyncio.create_task(watch.run())
    watch.list_again()
    await asyncio.sleep(0)
    assert source.listed == 0
    watch.want()
    await eventually(lambda: watch.listed_at is not None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert watch.listed_at is None


@pytest.mark.parametrize(
    "end",
    [
        ListAgain("gone"),
        b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}',
        b'{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}}',
        Unavailable("cut before it said a word"),
        b"no event",
        b'{"type":"ADDED","object":{"metadata":{"name":7}}}',
        RuntimeError("a mistake of ours"),
    ],
    ids=["410", "410 as event", "500 as event", "cut", "nonsense", "no object", "mistake"],
)
async def test_after_an_end_that_cannot_be_gone_on_from_everything_is_listed_anew(end: bytes | Exception) -> None:
    source, ear, heard = _Scripted([["one"], ["two"]], [[b"", end]]), _Ear(), Heard()
    async with _running(source, ear=ear, heard=heard) as watch:
        await eventually(lambda: watch.objects.get("team", "two") is not None)
        assert watch.objects.get("team", "one") is None
        assert (ear.found_times, ear.lost_times) == (2, 1)
        await eventually(lambda: source.watched == ["list-1", "list-2"])
    assert len(heard.broken) == 1
    assert heard.closed == [PODS.name]


async def test_a_watch_that_worked_goes_on_from_its_last_event_or_bookmark() -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9"}}}'
    cut = Unavailable("cut")
    added = _event("ADDED", "two", version="7")
    source = _Scripted([["one"]], [[b"", added, cut], [b"", bookmark, cut], [b"", bookmark], [b"", _Silence()]])
    ear = _Ear()
    async with _running(source, ear=ear) as watch:
        await eventually(lambda: source.watched == ["list-1", "7", "9", "9"])
        await eventually(lambda: watch.listed_at is not None)
        assert source.listed == 1
        assert ear.changes == ["one", "two"]
        assert (ear.found_times, ear.lost_times) == (3, 2)


async def test_what_an_unknown_event_and_a_status_of_nonsense_say_keeps() -> None:
    nonsense = _event("ADDED", "two", status=["nonsense"])
    news = _event("NEWS", "three", status={"phase": "Running"})
    source = _Scripted([["one"]], [[b"", nonsense, news, _Silence()]])
    async with _running(source) as watch:
        await eventually(lambda: watch.objects.get("team", "three") is not None)
        assert watch.objects.get("team", "two") == Kept(uid="two")


async def test_nothing_is_known_while_lists_fail_and_each_reason_is_told_once() -> None:
    denied = Denied("jobs is forbidden: cannot list")
    source, heard = _Scripted([denied, denied, denied, ["one"]]), Heard()
    with capture_logs() as logs:
        async with _running(source, heard=heard) as watch:
            await eventually(lambda: len(heard.broken) == 2)
            assert watch.listed_at is None
            await eventually(lambda: watch.listed_at is not None)
    assert [line["event"] for line in logs] == ["watch is broken", "watch is whole again"]
    assert logs[0]["detail"] == denied.detail
    assert heard.broken == [("pods", "denied")] * 3


async def test_a_list_that_was_asked_for_confirms_without_losing_what_is_known() -> None:
    source, ear = _Scripted([["one", "two"], ["two", "three"]]), _Ear()
    async with _running(source, ear=ear) as watch:
        await eventually(lambda: watch.listed_at is not None)
        first = watch.listed_at
        ear.changes.clear()
        watch.list_again()
        watch.list_again()
        await eventually(lambda: watch.listed_at != first)
        assert sorted(ear.changes) == ["one", "three"]
        assert (ear.found_times, ear.lost_times) == (1, 0)
        await eventually(lambda: source.watched == ["list-1", "list-2"])
        assert not watch.is_list_due


async def test_lists_that_are_asked_for_keep_their_distance() -> None:
    source = _Scripted([["one"]])
    async with _running(source, list_every=3600) as watch:
        await eventually(lambda: watch.listed_at is not None)
        watch.list_again()
        await eventually(lambda: source.watched == ["list-1"])
        assert watch.is_list_due
        assert source.listed == 1
