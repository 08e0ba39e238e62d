"""Questions are limited in all and for each address; a yes costs its address nothing."""

from dataclasses import dataclass

import pytest

from staging_protocol.errors import TooManyRequests
from staging_server.auth.rates import Rates


@dataclass
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def _taken(rates: Rates, address: str, *, most: int = 10_000) -> int:
    """Ask one after another, always in vain, until it is enough; return how many there were."""
    for count in range(most):
        try:
            rates.take(address)
        except TooManyRequests:
            return count
        rates.refused(address)
    return most


def test_an_address_has_its_share_and_gets_more_with_time() -> None:
    clock = _Clock()
    rates = Rates(in_all=1000, of_address=2, clock=clock)
    assert _taken(rates, "10.0.0.1") == 10
    assert _taken(rates, "10.0.0.2") == 10
    clock.now += 1
    assert _taken(rates, "10.0.0.1") == 2
    clock.now += 3600
    assert _taken(rates, "10.0.0.1") == 10


def test_who_is_refused_learns_when_to_come_back() -> None:
    clock = _Clock()
    for rates in (Rates(in_all=4, of_address=1000, clock=clock), Rates(in_all=1000, of_address=4, clock=clock)):
        _taken(rates, "10.0.0.1")
        with pytest.raises(TooManyRequests) as refused:
            rates.take("10.0.0.1")
        assert refused.value.retry_after == 0.25
        clock.now += 0.25
        rates.take("10.0.0.1")


def test_all_together_have_a_share_and_one_that_is_refused_takes_nothing_of_it() -> None:
    rates = Rates(in_all=4, of_address=2, clock=_Clock())
    assert [_taken(rates, f"10.0.0.{number}") for number in range(4)] == [10, 10, 0, 0]


def test_a_yes_costs_its_address_nothing() -> None:
    rates = Rates(in_all=1000, of_address=1, clock=_Clock())
    for _ in range(4000):
        rates.take("10.0.0.1")
    assert _taken(rates, "10.0.0.1") == 5


def test_what_was_asked_at_once_is_a_debt() -> None:
    clock = _Clock()
    rates = Rates(in_all=1000, of_address=2, clock=clock)
    for _ in range(100):
        rates.take("10.0.0.1")
    for _ in range(100):
        rates.refused("10.0.0.1")
    clock.now += 45  # 10 were there, 90 came meanwhile
    assert _taken(rates, "10.0.0.1") == 0
    clock.now += 0.5
    assert _taken(rates, "10.0.0.1") == 1


def test_a_network_of_ipv6_is_one_address() -> None:
    rates = Rates(in_all=1000, of_address=2, clock=_Clock())
    assert _taken(rates, "2001:db8::1") == 10
    assert _taken(rates, "2001:db8::2") == 0
    assert _taken(rates, "2001:db8:0:1::1") == 10
    assert _taken(rates, "::ffff:10.0.0.1") == 10
    assert _taken(rates, "::ffff:10.0.0.2") == 10
    assert _taken(rates, "") == 10


def test_memory_is_bounded_by_the_addresses_that_are_remembered() -> None:
    rates = Rates(in_all=1e9, of_address=1, clock=_Clock())
    _taken(rates, "first")
    for number in range(10_000):
        rates.take(f"10.{number >> 8}.{number & 255}.1")
    assert len(rates._addresses) == 10_000
