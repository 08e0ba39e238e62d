"""When a token is renewed, and who waits for it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from resolver.sources.gcs.tokens import Token, Tokens
from staging_protocol.errors import SourceUnavailable, StagingError


@dataclass
class Clock:
    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


@dataclass
class Issuer:
    """Issues tokens of `seconds`, or fails; waits until `go` is set."""

    seconds: float = 3600.0
    failure: StagingError | None = None
    asked: int = 0
    go: threading.Event = field(default_factory=threading.Event)

    def issue(self) -> Token:
        self.asked += 1
        assert self.go.wait(20)
        if self.failure is not None:
            raise self.failure
        return Token(headers={"Authorization": f"Bearer secret-{self.asked}"}, seconds=self.seconds)

    def describe(self) -> str:
        return "somebody"


@pytest.fixture
def issuer() -> Issuer:
    made = Issuer()
    made.go.set()
    return made


def test_a_token_is_kept_until_shortly_before_its_end(issuer: Issuer) -> None:
    clock = Clock()
    tokens = Tokens(issuer, now=clock)
    tokens.headers()
    clock.time += 3600 - 226
    assert tokens.headers() == {"Authorization": "Bearer secret-1"}
    clock.time += 2
    assert tokens.headers() == {"Authorization": "Bearer secret-2"}


def test_a_short_token_is_used_for_half_of_its_time(issuer: Issuer) -> None:
    clock = Clock()
    issuer.seconds = 60
    tokens = Tokens(issuer, now=clock)
    tokens.headers()
    clock.time += 29
    tokens.headers()
    assert issuer.asked == 1
    clock.time += 2
    tokens.headers()
    assert issuer.asked == 2


def test_a_refused_token_is_forgotten_but_not_the_one_that_replaced_it(issuer: Issuer) -> None:
    tokens = Tokens(issuer)
    first = tokens.headers()
    tokens.reject(first)
    second = tokens.headers()
    tokens.reject(first)  # another thread, later
    assert tokens.headers() is second
    assert issuer.asked == 2


class WatchedLock:
    """Counts who comes, before they wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.came = threading.Semaphore(0)

    def __enter__(self) -> None:
        self.came.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_who_waited_for_a_failure_shares_it_and_who_comes_later_asks_again(issuer: Issuer) -> None:
    issuer.go.clear()
    issuer.failure = SourceUnavailable("no")
    tokens = Tokens(issuer)
    lock = WatchedLock()
    tokens._lock = lock  # type: ignore[assignment] # it does what is used of a lock

    def ask(_: int) -> None:
        with pytest.raises(SourceUnavailable):
            tokens.headers()

    with ThreadPoolExecutor(8) as threads:
        asking = threads.map(ask, range(8))
        for _ in range(8):
            assert lock.came.acquire(timeout=20)
        issuer.go.set()
        list(asking)
    assert issuer.asked == 1
    issuer.failure = None
    assert tokens.headers() == {"Authorization": "Bearer secret-2"}


def test_a_token_shows_nothing_of_its_secret() -> None:
    assert "secret" not in repr(Token(headers={"Authorization": "Bearer secret"}, seconds=60))
