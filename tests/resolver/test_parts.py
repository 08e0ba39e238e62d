"""The ranges of a file: together they are the file, whatever is taken from one and given to another."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.parts import Part, Parts
from resolver.run import Progress, Silent
from resolver.settings import ResolveSettings
from staging_io.files import hidden
from tests.resolver import faulty_server as faults
from tests.resolver.conftest import QUICK, Resolving, entry
from tests.resolver.faulty_server import FaultyServer

CONTENT = bytes(range(250)) * 380


def ranges(parts: Parts) -> list[tuple[int, int | None]]:
    return [(part.start, part.stop) for part in parts.all]


def begun(size: int, *, smallest: int) -> Parts:
    """Return the parts of a file whose size the first answer has told."""
    parts = Parts(promised=None, smallest=smallest)
    parts.divide(parts.first, size, is_whole=False)
    return parts


@settings(max_examples=40)
@given(size=st.integers(1, 5000), smallest=st.integers(1, 200), data=st.data())
def test_parts_are_the_whole_file_however_they_are_split(size: int, smallest: int, data: st.DataObject) -> None:
    parts = begun(size, smallest=smallest)
    claimed: dict[int, int] = {}
    for step in range(1, data.draw(st.integers(1, 60))):
        part = data.draw(st.sampled_from(parts.all))
        match data.draw(st.sampled_from(["claim", "arrive", "split"])):
            case "claim":
                claimed[part.start] = parts.claim(part, data.draw(st.integers(1, 100)))
            case "arrive":
                part.at += claimed.pop(part.start, 0)
            case _:
                parts.split(1e9 + step)
        assert all(one.stop is not None and one.start <= one.at <= one.stop for one in parts.all)
        assert all(one.at + claimed.get(one.start, 0) <= (one.stop or 0) for one in parts.all)
    cuts = [start for start, _ in ranges(parts)] + [size]
    assert ranges(parts) == list(itertools.pairwise(cuts))
    assert parts.frontier() == next((one.at for one in parts.all if not one.is_done), size)


def test_the_last_part_is_known_however_many_were_split_off() -> None:
    parts = begun(100_000, smallest=50_000)
    first, second = parts.all
    first.at += parts.claim(first, 10)
    assert parts.split(1e9) is not None
    assert [parts.close() for _ in range(3)] == [False, False, True]
    assert second.stop == 100_000


def test_the_part_that_takes_longest_is_halved_behind_what_is_on_its_way() -> None:
    parts = begun(200_000, smallest=100_000)
    fast, slow = parts.all
    for part, arrived in ((fast, 50_000), (slow, 1000)):
        part.at += parts.claim(part, arrived)
    parts.claim(slow, 9000)
    other = parts.split(1e9)
    assert other is not None
    assert (slow.stop, other.start, other.stop) == (155_000, 155_000, 200_000)


@pytest.mark.parametrize("seconds", [0.5, 1.5])
def test_only_what_arrives_slowly_is_split(seconds: float) -> None:
    parts = begun(200_000, smallest=100_000)
    part = parts.first
    part.at += parts.claim(part, 50_000)
    assert (parts.split(part.since + seconds) is None) == (seconds < 1)


def test_what_has_not_begun_or_came_as_a_whole_is_never_split() -> None:
    assert begun(200_000, smallest=100_000).split(1e9) is None
    whole = Parts(promised=None, smallest=1000)
    whole.divide(whole.first, 5000, is_whole=True)
    whole.first.at += whole.claim(whole.first, 10)
    assert whole.split(1e9) is None  # the server may know no ranges


def test_a_small_rest_is_left_to_whoever_has_it() -> None:
    parts = begun(200_000, smallest=100_000)
    part = parts.first
    part.at += parts.claim(part, 95_000)
    assert parts.split(1e9) is None


def test_what_an_earlier_run_has_left_is_not_fetched_again() -> None:
    parts = Parts(promised=None, smallest=100, size=1000, done={150: 300, 900: 1000})
    assert [(one.start, one.stop, one.is_done) for one in parts.all] == [
        (0, 100, False), (100, 150, False), (150, 300, True),
        *[(at, at + 100, False) for at in range(300, 900, 100)], (900, 1000, True),
    ]  # fmt: skip
    assert parts.received == 250


def test_a_part_that_stands_still_is_shared_out(resolving: Resolving, faulty: FaultyServer) -> None:
    class Watching(Silent):
        def progressed(self, progress: Progress) -> None:
            del progress
            if len(split()) >= 2:
                faulty.over.set()

    def split() -> set[int]:
        starts = {int(str(span)[6:].partition("-")[0]) for _, _, span in faulty.requests}
        return {start for start in starts if start % 32_000 and start != 5000}

    one = entry(faulty.put("a.jar", CONTENT), "a.jar", content=CONTENT)
    one = type(one)(uri=one.uri, kind=one.kind, target=one.target, digest=one.digest)
    faulty.faults["/a.jar"] = [faults.stall(after=5000)]
    quick = ResolveSettings(retry=QUICK, part_size=32_000, buffer_size=1000, progress_interval=0.01, journal=True)
    resolving(one, settings=quick, observer=Watching())
    assert (resolving.folder / "a.jar").read_bytes() == CONTENT
    assert len(split()) >= 2
    assert not hidden(resolving.folder / "a.jar", "journal").exists()


def test_a_part_knows_what_is_left_only_when_something_has_arrived() -> None:
    assert Part(0, None).seconds_left(1e9) == Part(0, 100).seconds_left(1e9) == 0
