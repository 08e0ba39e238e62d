"""Answers of a moment ago, shared by all who ask the same.

A thousand executors ask for one file in one second: the first question goes to the database, whoever comes while it is
under way waits for its answer, and who comes within a moment after it gets the same one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Answer]):
    answer: asyncio.Task[Answer]
    until: float


class Recent(Generic[Key, Answer]):
    """At most `most` answers, each used for `seconds` from its question on.  Errors are not kept."""

    def __init__(self, *, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._asked: dict[Key, _Asked[Answer]] = {}

    async def ask(self, key: Key, question: Callable[[], Coroutine[object, object, Answer]]) -> Answer:
        """Return the answer for `key`, from `question` when there is no recent one."""
        asked = self._asked.get(key)
        if asked is None or asked.until <= asyncio.get_running_loop().time():
            asked = self._ask(key, question())
        # Shielded: others may wait for it, too.
        return asked.answer.result() if asked.answer.done() else await asyncio.shield(asked.answer)

    def forget(self) -> None:
        """Let everybody ask anew from now on; who waits already gets what is on its way."""
        self._asked.clear()

    def _ask(self, key: Key, question: Coroutine[object, object, Answer]) -> _Asked[Answer]:
        if len(self._asked) >= self._most:
            # All are a moment old at most, so that a finer choice would gain nothing.
            self._asked.clear()
        until = asyncio.get_running_loop().time() + self._seconds
        asked = self._asked[key] = _Asked(asyncio.create_task(question), until)
        asked.answer.add_done_callback(partial(self._drop_failure, key))
        return asked

    def _drop_failure(self, key: Key, answer: asyncio.Task[Answer]) -> None:
        failed = answer.cancelled() or answer.exception() is not None
        kept = self._asked.get(key)
        if failed and kept is not None and kept.answer is answer:
            del self._asked[key]
