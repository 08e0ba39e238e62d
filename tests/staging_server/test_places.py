"""Places for uploads: nobody takes all of them, nobody waits behind a crowd of one namespace, nobody waits for ever."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.errors import TooManyRequests, Unavailable
from staging_server.settings import LimitSettings
from staging_server.uploads.places import Places, Turns
from tests.staging_server.domain import BLUE, RED
from tests.staging_server.live import eventually

Step = tuple[str, int]

_OWNERS = "abcd"
_STEPS = st.lists(st.tuples(st.sampled_from(["come", "leave", "end"]), st.integers(0, 3)), max_size=80)


class Client:
    """A presence that stays until it is told to go."""

    def __init__(self) -> None:
        self.go: Callable[[], None] | None = None

    @contextmanager
    def watch(self, gone: Callable[[], None]) -> Iterator[None]:
        self.go = gone
        yield


class Hall:
    """Runs steps on `Turns` and checks after each what always holds."""

    def __init__(self) -> None:
        self.turns: Turns[str, int] = Turns(places=3, of_one=2, waiting=8)
        self.held: Counter[str] = Counter()
        self.waiting: dict[int, str] = {}
        self.passed: dict[int, Counter[str]] = {}
        self.next = 0

    def come(self, owner: str) -> None:
        self.next += 1
        if self.turns.take(owner):
            self._got(owner)
        elif self.turns.queue(owner, self.next):
            self.waiting[self.next] = owner
            self.passed[self.next] = Counter()

    def leave(self, owner: str) -> None:
        for ticket in [ticket for ticket, of in self.waiting.items() if of == owner][:1]:
            self.turns.give_up(owner, ticket)
            del self.waiting[ticket]

    def end(self, owner: str) -> None:
        if not self.held[owner]:
            return
        self.held[owner] -= 1
        following = self.turns.release(owner)
        if following is not None:
            new, ticket = following
            assert self.waiting.pop(ticket) == new
            assert not [other for other, of in self.waiting.items() if of == new and other < ticket]
            self._got(new)

    def _got(self, owner: str) -> None:
        self.held[owner] += 1
        firsts = {of: ticket for ticket, of in reversed(self.waiting.items())}
        for of, ticket in firsts.items():
            if of != owner and self.held[of] < 2:
                self.passed[ticket][owner] += 1
                # The first of a namespace that may have a place sees each other namespace go before it once.
                assert self.passed[ticket][owner] <= 1

    def check(self) -> None:
        assert self.turns.held == self.held.total() <= 3
        assert all(count <= 2 for count in self.held.values())
        assert self.turns.waiting == len(self.waiting) <= 8
        assert all(count <= 4 for count in Counter(self.waiting.values()).values())
        if self.held.total() < 3:
            assert all(self.held[owner] == 2 for owner in self.waiting.values())


@given(_STEPS)
def test_places_go_round_among_those_who_wait(steps: list[Step]) -> None:
    hall = Hall()
    for what, who in steps:
        getattr(hall, what)(_OWNERS[who])
        hall.check()


def test_one_upload_does_not_wait_behind_a_crowd_of_another_namespace() -> None:
    turns: Turns[str, str] = Turns(places=1, of_one=1, waiting=1000)
    assert turns.take("crowd")
    for number in range(400):
        assert turns.queue("crowd", f"crowd {number}")
    assert turns.queue("single", "single")
    order = [turns.release("crowd"), turns.release("crowd")]
    assert ("single", "single") in order


async def _holding(places: Places, tenant: object, client: Client, got: asyncio.Event, end: asyncio.Event) -> bool:
    async with places.place(tenant, client) as waited:  # type: ignore[arg-type]
        got.set()
        await end.wait()
        return waited


def _limits(**limits: float) -> LimitSettings:
    return LimitSettings.model_validate({"uploads_in_flight": 1, "uploads_per_namespace": 1, **limits})


async def test_who_waits_gets_the_place_when_it_is_free() -> None:
    places, got, end = Places(_limits()), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(_holding(places, RED, Client(), got, end))
    await got.wait()
    second = asyncio.create_task(_holding(places, BLUE, Client(), asyncio.Event(), end))
    await eventually(lambda: places.waiting == 1)
    end.set()
    assert (await first, await second) == (False, True)
    assert (places.held, places.waiting) == (0, 0)


async def test_a_client_that_goes_away_leaves_the_queue() -> None:
    places, got, end = Places(_limits()), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(_holding(places, RED, Client(), got, end))
    await got.wait()
    client = Client()
    second = asyncio.create_task(_holding(places, RED, client, asyncio.Event(), end))
    await eventually(lambda: client.go is not None)
    assert client.go is not None
    client.go()
    with pytest.raises(ConnectionResetError):
        await second
    assert places.waiting == 0
    end.set()
    await first


async def test_nobody_waits_longer_than_is_set() -> None:
    places, got, end = Places(_limits(upload_wait=0.05)), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(_holding(places, RED, Client(), got, end))
    await got.wait()
    with pytest.raises(TooManyRequests) as refused:
        await _holding(places, RED, Client(), asyncio.Event(), end)
    assert refused.value.retry_after
    end.set()
    await first
    assert (places.held, places.waiting) == (0, 0)


async def test_a_full_queue_refuses_at_once() -> None:
    places, got, end = Places(_limits(uploads_waiting=2)), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(_holding(places, RED, Client(), got, end))
    await got.wait()
    second = asyncio.create_task(_holding(places, RED, Client(), asyncio.Event(), end))
    await eventually(lambda: places.waiting == 1)
    with pytest.raises(TooManyRequests):
        await _holding(places, RED, Client(), asyncio.Event(), end)
    other = asyncio.create_task(_holding(places, BLUE, Client(), asyncio.Event(), end))
    await eventually(lambda: places.waiting == 2)
    end.set()
    await asyncio.gather(first, second, other)


async def test_a_server_that_leaves_sends_away_who_waits_and_lets_run_what_runs() -> None:
    places, got, end = Places(_limits()), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(_holding(places, RED, Client(), got, end))
    await got.wait()
    second = asyncio.create_task(_holding(places, RED, Client(), asyncio.Event(), end))
    await eventually(lambda: places.waiting == 1)
    places.close()
    with pytest.raises(Unavailable):
        await second
    with pytest.raises(Unavailable):
        await _holding(places, BLUE, Client(), asyncio.Event(), end)
    end.set()
    assert await first is False


async def test_a_place_that_comes_at_the_moment_of_leaving_goes_to_the_next() -> None:
    """Cancelled and given a place in the same turn of the event loop: the place must not be lost."""
    for steps in range(4):
        places, got, end = Places(_limits()), asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(_holding(places, RED, Client(), got, end))
        await got.wait()
        second = asyncio.create_task(_holding(places, RED, Client(), asyncio.Event(), end))
        third = asyncio.create_task(_holding(places, BLUE, Client(), asyncio.Event(), end))
        await eventually(lambda places=places: places.waiting == 2)
        end.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([first, second, third], timeout=5)
        assert third.result() is True
        assert (places.held, places.waiting) == (0, 0)
