"""Checksums of files that arrive in any order: whatever the way, the same bytes have the same checksums."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.checksums import Check, InOrder
from resolver.combining import CombiningHashing
from resolver.crc import combined
from resolver.hashing import FollowingHashing, Hashing, InlineHashing
from resolver.parts import Part
from resolver.sources.base import Algorithm, Checksum
from staging_io.files import UnfinishedFile
from staging_protocol.digests import Digest
from tests.contracts.source import expected

CRCS: tuple[Algorithm, ...] = ("crc32", "crc32c")
ALL: tuple[Algorithm, ...] = (*CRCS, "md5", "sha1", "sha256")
EXAMPLES = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - test data


def stated(algorithm: Algorithm, content: bytes, parts: tuple[int, ...] = ()) -> Checksum:
    """Return the right checksum of `content`."""
    empty = Checksum(algorithm=algorithm, value=b"", parts=parts)
    return Checksum(algorithm=algorithm, value=expected(empty, content), parts=parts)


def sizes(data: st.DataObject, size: int) -> list[int]:
    """Draw sizes of pieces that are `size` together."""
    cuts = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=10))})
    return [stop - start for start, stop in pairwise(cuts)]


class Arriving:
    """A file whose parts come in any order, each part in pieces."""

    def __init__(self, folder: Path, content: bytes, part_sizes: list[int]) -> None:
        self.file = UnfinishedFile(folder / "a")
        self.content = content
        cuts = [sum(part_sizes[:number]) for number in range(len(part_sizes) + 1)]
        self.parts = [Part(start, stop) for start, stop in pairwise(cuts)] or [Part(0, 0)]

    def frontier(self) -> int:
        return next((part.at for part in self.parts if not part.is_done), len(self.content))

    def size(self) -> int:
        return len(self.content)

    def arrive(self, hashing: Hashing, order: list[Part], *, piece: int) -> None:
        for part in order:
            while part.stop is not None and part.at < part.stop:
                data = memoryview(self.content[part.at : min(part.at + piece, part.stop)])
                self.file.write(data, part.at)
                part.at += len(data)
                hashing.wrote(data, part=part)


@given(data=st.data(), size=st.integers(0, 3000), piece=st.integers(1, 1000))
@EXAMPLES
def test_any_parts_in_any_order_give_the_same_crc(tmp_path: Path, data: st.DataObject, size: int, piece: int) -> None:
    content = content_of(size)
    checksum = stated(
        data.draw(st.sampled_from(CRCS)), content, data.draw(st.sampled_from([(), tuple(sizes(data, size))]))
    )
    arriving = Arriving(tmp_path, content, sizes(data, size))
    hashing = CombiningHashing(checksum, file=arriving.file, parts=arriving.parts)
    arriving.arrive(hashing, data.draw(st.permutations(arriving.parts)), piece=piece)
    assert hashing.result().checksum == checksum


@given(data=st.data(), size=st.integers(0, 3000), piece=st.integers(1, 1000))
@EXAMPLES
def test_any_parts_in_any_order_give_the_same_digest(
    tmp_path: Path, data: st.DataObject, size: int, piece: int
) -> None:
    content = content_of(size)
    check = Check(digest=True, checksum=stated(data.draw(st.sampled_from(ALL)), content))
    arriving = Arriving(tmp_path, content, sizes(data, size))
    order = data.draw(st.permutations(arriving.parts))  # which may end this example: no thread has been started yet
    hashing = FollowingHashing(check, file=arriving.file, frontier=arriving.frontier, size=arriving.size)
    arriving.arrive(hashing, order, piece=piece)
    sums = hashing.result()
    assert (sums.digest, sums.checksum) == (Digest.of(content), check.checksum)


@given(data=st.data(), size=st.integers(0, 3000), algorithm=st.sampled_from(ALL))
@EXAMPLES
def test_bytes_in_their_order_give_checksums_of_the_whole_or_of_pieces(
    data: st.DataObject, size: int, algorithm: Algorithm
) -> None:
    content = content_of(size)
    check = Check(digest=False, checksum=stated(algorithm, content, tuple(sizes(data, size))))
    inline, at = InlineHashing(check), 0
    for count in sizes(data, size):
        inline.wrote(memoryview(content[at : at + count]), part=Part(0, size))
        at += count
    assert inline.result().checksum == check.checksum
    assert inline.result().digest is None


@pytest.mark.parametrize("parts", [(0,), (5, 0), (0, 5), (3, 0, 2)])
@pytest.mark.parametrize("algorithm", CRCS)
def test_pieces_may_be_empty(tmp_path: Path, algorithm: Algorithm, parts: tuple[int, ...]) -> None:
    content = content_of(sum(parts))
    checksum = stated(algorithm, content, parts)
    in_order = InOrder(Check(digest=False, checksum=checksum))
    in_order.update(memoryview(content))
    assert in_order.result().checksum == checksum
    arriving = Arriving(tmp_path, content, [len(content)])
    hashing = CombiningHashing(checksum, file=arriving.file, parts=arriving.parts)
    arriving.arrive(hashing, arriving.parts, piece=2)
    assert hashing.result().checksum == checksum


@pytest.mark.parametrize("parts", [(), (1000, 1000, 1000)])
def test_parts_of_an_earlier_run_are_read_back(tmp_path: Path, parts: tuple[int, ...]) -> None:
    content = content_of(3000)
    checksum = stated("crc32", content, parts)
    arriving = Arriving(tmp_path, content, [700, 1300, 1000])
    left, *to_come = arriving.parts
    arriving.file.write(memoryview(content[:700]), 0)
    left.at = 700
    hashing = CombiningHashing(checksum, file=arriving.file, parts=arriving.parts)
    arriving.arrive(hashing, to_come, piece=100)
    assert hashing.result().checksum == checksum


@given(first=st.binary(max_size=50), second=st.binary(max_size=50), algorithm=st.sampled_from(CRCS))
def test_the_crc_of_two_pieces_is_the_crc_of_all(first: bytes, second: bytes, algorithm: Algorithm) -> None:
    crc: Callable[[bytes], int] = lambda data: int.from_bytes(stated(algorithm, data).value, "big")  # noqa: E731
    assert combined(crc(first), crc(second), size=len(second), algorithm=algorithm) == crc(first + second)


@given(crcs=st.tuples(*[st.integers(0, 2**32 - 1)] * 3), sizes=st.tuples(*[st.integers(0, 2**50)] * 2))
@settings(max_examples=20)
def test_large_pieces_may_be_put_together_from_either_end(crcs: tuple[int, int, int], sizes: tuple[int, int]) -> None:
    first, second, third = crcs
    left = combined(
        combined(first, second, size=sizes[0], algorithm="crc32c"), third, size=sizes[1], algorithm="crc32c"
    )
    both = combined(second, third, size=sizes[1], algorithm="crc32c")
    assert left == combined(first, both, size=sum(sizes), algorithm="crc32c")
