"""Plans of faults for hypothesis: which faults, how many, and where they strike.

Two families matter, because they promise different things.  After *passing* faults (connections that break, stall or
are refused) a patient client succeeds when it tries often enough.  *Spoiling* faults change bytes, which only digests
can notice.
"""

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.services.faults import (
    CloseAfter,
    Corrupt,
    Fault,
    LoseAnswer,
    Place,
    Refuse,
    Repeat,
    Reset,
    Rule,
    SendTwice,
    Slow,
    Stall,
    Truncate,
    Way,
    Zone,
)

_HEAD = 400
"""Bytes; heads of our programs have 150 to 500."""

EVER = 1_000_000
"""Requests: a fault that does not pass."""


def places(
    *, size: int, ways: Sequence[Way] = tuple(Way), zones: Sequence[Zone] = tuple(Zone)
) -> st.SearchStrategy[Place]:
    """Draw a place in a message whose body has `size` bytes or fewer."""
    whole = st.builds(Place, way=st.sampled_from(ways), at=st.integers(0, size), zone=st.just(Zone.BODY))
    edges = st.builds(Place, way=st.sampled_from(ways), at=st.sampled_from([0, 1, size]), zone=st.just(Zone.BODY))
    heads = st.builds(Place, way=st.sampled_from(ways), at=st.integers(0, _HEAD), zone=st.just(Zone.HEAD))
    choices = [whole, edges] if Zone.BODY in zones else []
    return st.one_of(*choices, *([heads] if Zone.HEAD in zones else []))


def passing(*, size: int, ways: Sequence[Way] = tuple(Way)) -> st.SearchStrategy[Fault]:
    """Draw a fault after which the same request may succeed."""
    somewhere = places(size=size, ways=ways)
    return st.one_of(
        st.builds(Reset, somewhere),
        st.builds(Truncate, somewhere),
        st.builds(Stall, somewhere, st.sampled_from([0.0, 0.02])),
        st.builds(Slow, st.sampled_from(ways), st.sampled_from([200_000, 2_000_000])),
        st.builds(
            Refuse, st.sampled_from([500, 502, 503, 504, 429]), st.sampled_from([None, 0]),
            st.sampled_from([b"", b"<html>bad gateway</html>"]), st.sampled_from(["text/html", "application/json"]),
            st.booleans(),
        ),
        st.builds(LoseAnswer, st.booleans()),
        st.builds(SendTwice, st.booleans()),
        st.builds(CloseAfter),
    )  # fmt: skip


def stalling(*, size: int, ways: Sequence[Way] = tuple(Way)) -> st.SearchStrategy[Fault]:
    """Draw a stall that only a time-out ends."""
    return st.builds(Stall, places(size=size, ways=ways))


def spoiling(
    *, size: int, ways: Sequence[Way] = tuple(Way), zones: Sequence[Zone] = (Zone.BODY,)
) -> st.SearchStrategy[Fault]:
    """Draw a fault that changes bytes."""
    somewhere = places(size=size, ways=ways, zones=zones)
    return st.one_of(
        st.builds(Corrupt, somewhere, st.integers(0, 7)),
        st.builds(Repeat, somewhere, st.integers(1, 5000)),
    )


def rules(
    faults: st.SearchStrategy[Fault],
    *,
    paths: Sequence[str],
    methods: Sequence[str | None] = (None,),
    most_times: int = 2,
    ever: bool = False,
) -> st.SearchStrategy[Rule]:
    """Draw a rule over requests whose path contains one of `paths`; with `ever` the fault may never end."""
    times = st.integers(1, most_times)
    return st.builds(
        Rule,
        fault=faults,
        method=st.sampled_from(methods),
        path=st.sampled_from(paths),
        skip=st.integers(0, 4),
        times=st.one_of(times, st.just(EVER)) if ever else times,
    )


def on_the_way_down(*, size: int, paths: Sequence[str]) -> st.SearchStrategy[list[Rule]]:
    """Draw a plan against whoever reads: passing faults, and spoiling ones that never end."""
    some = rules(passing(size=size, ways=[Way.DOWN]), paths=paths)
    ever = rules(spoiling(size=size, ways=[Way.DOWN]), paths=paths, ever=True)
    return st.lists(st.one_of(some, ever), min_size=1, max_size=3)
