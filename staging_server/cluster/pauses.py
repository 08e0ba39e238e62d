"""Pauses between attempts: each about twice as long as the one before, never in step with other programs."""

import asyncio
import random
from typing import Final

_FIRST: Final = 0.5
"""Seconds, at most; a watch that was only cut goes on nearly at once."""


class Pauses:
    """The pauses of one loop."""

    def __init__(self, *, longest: float) -> None:
        self._longest = longest
        self._next = _FIRST

    async def pause(self, *, at_least: float | None = None) -> None:
        """Wait for longer than last time; `at_least` is what the other side asked for."""
        seconds = min(self._next, self._longest)
        self._next = seconds * 2
        # Half of it by chance: a restarted API server is not asked by everybody in the same moment.
        await asyncio.sleep(max(seconds * random.uniform(0.5, 1), min(at_least or 0, self._longest)))  # noqa: S311 - no secret

    def reset(self) -> None:
        """Begin with short ones again, since it works."""
        self._next = _FIRST
