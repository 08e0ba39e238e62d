"""Answers of a moment ago, shared by all who ask the same.

A thousand executors ask for one file in one second: the first question goes to the database, whoever comes while it is
under way waits for its answer (`Shared`), and who comes within a moment after it gets the same one (`Recent`).
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
    at: float


class Shared(Generic[Key, Answer]):
    """Questions that are under way; each is asked once, whoever wants to know."""

    def __init__(self) -> None:
        self._asked: dict[Key, _Asked[Answer]] = {}

    async def ask(
        self,
        key: Key,
        question: Callable[[], Coroutine[object, object, Answer]],
        *,
        now: float,
        seconds: float,
        keep: Callable[[Answer], None],
    ) -> Answer:
        """Return the answer for `key`, of a question that was begun less than `seconds` ago, or of `question`.

        `keep` is told the answer of `question` before anybody has it; errors are not kept.
        """
        asked = self._asked.get(key)
        if asked is None or asked.at + seconds <= now:
            asked = self._asked[key] = _Asked(asyncio.create_task(question()), now)
            asked.answer.add_done_callback(partial(self._answered, key, keep))
        # Shielded: others may wait for it, too.
        return await asyncio.shield(asked.answer)

    def forget(self) -> None:
        """Keep no answer of what is under way, and let nobody join it any more."""
        self._asked.clear()

    def _answered(self, key: Key, keep: Callable[[Answer], None], answer: asyncio.Task[Answer]) -> None:
        failed = answer.cancelled() or answer.exception() is not None
        asked = self._asked.get(key)
        if asked is None or asked.answer is not answer:
            return
        del self._asked[key]
        if not failed:
            keep(answer.result())


@dataclass(frozen=True, slots=True)
class Kept(Generic[Answer]):
    """An answer with its end."""

    answer: Answer
    until: float


class Recent(Generic[Key, Answer]):
    """At most `most` answers, each used for `seconds` from its question on.  Errors are not kept."""

    def __init__(self, *, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._kept: dict[Key, Kept[Answer]] = {}
        self._shared: Shared[Key, Answer] = Shared()

    async def ask(self, key: Key, question: Callable[[], Coroutine[object, object, Answer]]) -> Answer:
        """Return the answer for `key`, from `question` when there is no recent one."""
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(key)
        if kept is not None and kept.until > now:
            return kept.answer
        keep = partial(self._keep, key, now + self._seconds)
        return await self._shared.ask(key, question, now=now, seconds=self._seconds, keep=keep)

    def forget(self) -> None:
        """Let everybody ask anew from now on; who waits already gets what is on its way."""
        self._kept.clear()
        self._shared.forget()

    def _keep(self, key: Key, until: float, answer: Answer) -> None:
        if len(self._kept) >= self._most:
            # All are a moment old at most, so that a finer choice would gain nothing.
            self._kept.clear()
        self._kept[key] = Kept(answer, until)
