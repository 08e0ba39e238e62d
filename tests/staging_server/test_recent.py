"""Answers of a moment ago are shared, errors are not kept."""

import asyncio

import pytest

from staging_server.recent import Recent


class _Slow:
    """A question whose answer comes when `free` is set."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.asked = 0
        self.free = asyncio.Event()
        self._error = error

    async def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        await self.free.wait()
        if self._error is not None:
            raise self._error
        return number


async def test_who_asks_at_once_and_a_moment_later_shares_one_answer() -> None:
    recent, question = Recent[str, int](seconds=60, most=10), _Slow()
    many = [asyncio.create_task(recent.ask("a", question)) for _ in range(100)]
    await asyncio.sleep(0)
    question.free.set()
    assert set(await asyncio.gather(*many)) == {1}
    assert await recent.ask("a", question) == 1
    assert await recent.ask("b", question) == 2


async def test_an_old_answer_is_asked_for_again() -> None:
    recent, question = Recent[str, int](seconds=0, most=10), _Slow()
    question.free.set()
    assert [await recent.ask("a", question), await recent.ask("a", question)] == [1, 2]


async def test_after_forget_nobody_joins_a_question_from_before() -> None:
    recent, question = Recent[str, int](seconds=60, most=10), _Slow()
    before = asyncio.create_task(recent.ask("a", question))
    await asyncio.sleep(0)
    recent.forget()
    after = asyncio.create_task(recent.ask("a", question))
    question.free.set()
    assert [await before, await after] == [1, 2]


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    recent, broken, whole = Recent[str, int](seconds=60, most=10), _Slow(error=OSError("gone")), _Slow()
    many = [asyncio.create_task(recent.ask("a", broken)) for _ in range(3)]
    await asyncio.sleep(0)
    broken.free.set()
    whole.free.set()
    assert [str(error) for error in await asyncio.gather(*many, return_exceptions=True)] == ["gone"] * 3
    assert broken.asked == 1
    assert await recent.ask("a", whole) == 1


async def test_who_goes_away_takes_nobody_along() -> None:
    recent, question = Recent[str, int](seconds=60, most=10), _Slow()
    leaving, staying = (asyncio.create_task(recent.ask("a", question)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    question.free.set()
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_there_are_never_more_answers_than_allowed() -> None:
    recent, question = Recent[int, int](seconds=60, most=3), _Slow()
    question.free.set()
    for key in range(20):
        await recent.ask(key, question)
        assert len(recent._kept) <= 3
