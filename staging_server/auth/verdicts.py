"""Answers of Kubernetes about callers, remembered for a while: a yes longer than a no, and no error at all.

Yes and no have places of their own, so that a crowd of strangers does not crowd out those who are known.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Final, Generic, TypeVar

from staging_server.recent import Kept, Shared

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

_MOST: Final = 10_000
"""Answers of each kind, of about 1 KiB; with more the oldest go first."""


class Verdicts(Generic[Key, Answer]):
    """Answers, each kept for `yes` seconds when it is true, else for `no` seconds; `spared` is called for each use."""

    def __init__(
        self,
        *,
        yes: float,
        no: float,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
        spared: Callable[[], None] = lambda: None,
    ) -> None:
        self._yes, self._no = yes, no
        self._most = most
        self._clock = clock
        self._spared = spared
        self._granted: OrderedDict[Key, Kept[Answer]] = OrderedDict()
        self._refused: OrderedDict[Key, Kept[Answer]] = OrderedDict()
        self._shared: Shared[Key, Answer] = Shared()

    async def ask(
        self, key: Key, question: Callable[[], Coroutine[object, object, Answer]], *, at_most: float | None = None
    ) -> Answer:
        """Return the answer for `key`, from `question` when it is not known; it is kept for `at_most` seconds."""
        now = self._clock()
        for kept in (self._granted.get(key), self._refused.get(key)):
            if kept is not None and kept.until > now:
                self._spared()
                return kept.answer
        keep = partial(self._keep, key, now, at_most)
        return await self._shared.ask(key, question, now=now, seconds=self._yes, keep=keep)

    def _keep(self, key: Key, asked_at: float, at_most: float | None, answer: Answer) -> None:
        seconds, place = (self._yes, self._granted) if answer else (self._no, self._refused)
        place.pop(key, None)
        # From the question on: what was true while it was answered may not be any more.
        place[key] = Kept(answer, asked_at + (seconds if at_most is None else min(seconds, at_most)))
        while len(place) > self._most:
            place.popitem(last=False)
