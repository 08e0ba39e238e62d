"""The ranges that a file is fetched in."""

from typing import Final

import msgspec

_PARTS: Final = 32
"""Parts of a large file: enough for all connections to have some and to end at about the same time."""

_GROWTH: Final = 4
"""Times that parts grow at most: a killed run loses what it has of each part, so 32 MiB with the default settings."""


class Part(msgspec.Struct, eq=False):
    """A range of the file; everything before `at` was written.  `stop` is None until the end is known."""

    start: int
    stop: int | None
    at: int = -1

    def __post_init__(self) -> None:
        if self.at < 0:
            self.at = self.start

    @property
    def is_done(self) -> bool:
        """Whether all its bytes were written."""
        return self.at == self.stop


def part_size_for(size: int, *, smallest: int) -> int:
    """Return the size of the parts of a file: parts of large files are larger, because each costs a request."""
    return min(max(smallest, size // _PARTS), smallest * _GROWTH)
