"""Numbers of rows that grow with time, made by the program: no round trip to a sequence, and inserts go many at a time.

A number is the time in microseconds and ten more bits.  The bits are drawn by each process at its start, so that two
processes do not meet in the same microsecond; inside a process numbers never repeat and never go back, whatever the
clock does.
"""

import secrets
from typing import Final

_BITS: Final = 10
"""63 - 10 bits of microseconds last until the year 2255."""

_OURS: Final = secrets.randbits(_BITS)


class _Last:
    """The last number of this process.  Only the writer's operations make numbers, and those run one after another."""

    number = 0


def next_number(at: int) -> int:
    """Return a new number for a row of the time `at` (microseconds UTC)."""
    _Last.number = max((at << _BITS) | _OURS, _Last.number + 1)
    return _Last.number
