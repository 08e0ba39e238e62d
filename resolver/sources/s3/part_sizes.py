"""The sizes of the parts that an object was uploaded in, which S3 tells only one by one.

Every usual client sends parts of one size and a smaller last one.  So the first and the last are asked for, and if
these two and the sum leave no room for others, they are all known; else each one is asked for, up to a bound.
"""

from collections.abc import Callable
from typing import Final

MOST_QUESTIONS: Final = 100
"""Parts that are asked for one by one; an object with more of different sizes is not verified by them."""

SizeOf = Callable[[int], int | None]
"""The size of a part by its number, from 1 on; None where the service does not say."""


def part_sizes(size_of: SizeOf, *, count: int, size: int) -> tuple[int, ...] | None:
    """Return the sizes of the `count` parts of an object of `size` bytes; None where they cannot be known."""
    if count == 1:
        return (size,)
    first, last = size_of(1), size_of(count)
    if first is None or last is None:
        return None
    if 0 < last <= first and (count - 1) * first + last == size:
        return (*[first] * (count - 1), last)
    if count > MOST_QUESTIONS:
        return None
    between = [size_of(number) for number in range(2, count)]
    known = [one for one in (first, *between, last) if one is not None]
    return tuple(known) if len(known) == count and sum(known) == size else None
