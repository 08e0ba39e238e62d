"""Answers of Kubernetes about callers, remembered for a while: a yes longer than a no, and no error at all.

Many requests come with one token, and many callers at once: whoever asks what somebody else is asking already waits for
that answer.  Yes and no have places of their own, so that a crowd of strangers does not crowd out those who are known.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

_MOST: Final = 10_000
"""Answers of each kind, of about 1 KiB; with more the oldest go first."""


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Answer]):
    answer: Answer
    until: float


class Verdicts(Generic[Key, Answer]):
    """Answers, each kept for `yes` seconds when it is true, else for `no` seconds."""

    def __init__(
        self, *, yes: float, no: float, most: int = _MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._yes, self._no = yes, no
        self._most = most
        self._clock = clock
        self._granted: OrderedDict[Key, _Kept[Answer]] = OrderedDict()
        self._refused: OrderedDict[Key, _Kept[Answer]] = OrderedDict()
        self._asking: dict[Key, asyncio.Task[Answer]] = {}

    async def ask(
        self, key: Key, question: Callable[[], Coroutine[object, object, Answer]], *, at_most: float | None = None
    ) -> Answer:
        """Return the answer for `key`, from `question` when it is not known; it is kept for `at_most` seconds."""
        now = self._clock()
        for kept in (self._granted.get(key), self._refused.get(key)):
            if kept is not None and kept.until > now:
                return kept.answer
        asked = self._asking.get(key)
        if asked is None:
            asked = self._asking[key] = asyncio.create_task(question())
            asked.add_done_callback(partial(self._answered, key, at_most=at_most, asked_at=now))
        # Shielded: others may wait for it, too.
        return await asyncio.shield(asked)

    def _answered(self, key: Key, task: asyncio.Task[Answer], *, at_most: float | None, asked_at: float) -> None:
        del self._asking[key]
        if task.cancelled() or task.exception() is not None:
            return
        answer = task.result()
        seconds, place = (self._yes, self._granted) if answer else (self._no, self._refused)
        place.pop(key, None)
        # From the question on: what was true while it was answered may not be any more.
        place[key] = _Kept(answer, asked_at + (seconds if at_most is None else min(seconds, at_most)))
        while len(place) > self._most:
            place.popitem(last=False)
