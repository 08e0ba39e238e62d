"""Any bytes, and good input with some bytes changed, give every parser a value or one of our errors."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.parsers import PROPERTIES
from tests.hostile.seeds import SEEDS

_BITS = (
    b"\0",
    b"\n",
    b"\r\n",
    b"\\",
    b"..",
    b"/",
    b"%",
    b"%ff",
    b'"',
    b"9" * 5000,
    b"[" * 2000,
    b"\xed\xa0\x80",
    b"\x1b[",
    b"-1",
)
_SLOW = frozenset({"an_answer", "an_archive", "a_zip_of_members"})


@st.composite
def _mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Good input that was cut, doubled, or had something put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(min_value=0, max_value=4))):
        start = draw(st.integers(min_value=0, max_value=len(data)))
        stop = min(len(data), start + draw(st.integers(min_value=0, max_value=20)))
        put = draw(st.sampled_from(_BITS) | st.binary(max_size=8) | st.just(data[start:stop] * 2))
        data = data[:start] + put + data[stop:]
    return data


def test_every_property_has_seeds() -> None:
    assert PROPERTIES.keys() == SEEDS.keys()


@pytest.mark.parametrize("name", PROPERTIES)
def test_good_input_keeps_the_promise(name: str) -> None:
    for seed in SEEDS[name]:
        PROPERTIES[name](seed)


@pytest.mark.parametrize("name", PROPERTIES)
def test_changed_input_is_a_value_or_one_of_our_errors(name: str) -> None:
    prop = PROPERTIES[name]

    @settings(max_examples=40 if name in _SLOW else 150, suppress_health_check=list(HealthCheck))
    @given(_mutated(SEEDS[name]) | st.binary(max_size=300))
    def check(data: bytes) -> None:
        prop(data)

    check()
