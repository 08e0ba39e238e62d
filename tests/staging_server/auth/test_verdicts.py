"""Answers are asked for once, kept for their time, and errors not at all."""

import asyncio
from dataclasses import dataclass, field

import pytest

from staging_protocol.errors import Unavailable
from staging_server.auth.verdicts import Verdicts


@dataclass
class _Oracle:
    """Answers when it is let; counts its questions."""

    answer: str | None = "yes"
    error: Exception | None = None
    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.open.set()

    async def question(self) -> str | None:
        self.asked += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return self.answer

    def verdicts(self, *, most: int = 100) -> Verdicts[str, str | None]:
        return Verdicts(yes=60, no=10, most=most, clock=lambda: self.now)


async def test_a_yes_is_kept_longer_than_a_no() -> None:
    for answer, seconds in (("yes", 60), (None, 10)):
        oracle = _Oracle(answer)
        verdicts = oracle.verdicts()
        for now, asked in ((0, 1), (seconds - 1, 1), (seconds, 2)):
            oracle.now = now
            assert await verdicts.ask("key", oracle.question) == answer
            assert oracle.asked == asked, (answer, now)


async def test_nothing_is_kept_past_its_end() -> None:
    oracle = _Oracle()
    verdicts = oracle.verdicts()
    await verdicts.ask("key", oracle.question, at_most=5)
    oracle.now = 5
    await verdicts.ask("key", oracle.question, at_most=5)
    assert oracle.asked == 2


async def test_many_who_ask_at_once_ask_one_question() -> None:
    oracle = _Oracle()
    oracle.open.clear()
    verdicts = oracle.verdicts()
    asking = [asyncio.create_task(verdicts.ask("key", oracle.question)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()  # whoever asked first may leave
    await asyncio.sleep(0)
    oracle.open.set()
    assert await asyncio.gather(*asking[1:]) == ["yes"] * 49
    assert oracle.asked == 1


async def test_an_error_is_told_to_all_who_wait_and_not_kept() -> None:
    oracle = _Oracle(error=Unavailable("not now"))
    verdicts = oracle.verdicts()
    for _ in range(2):
        told = await asyncio.gather(*(verdicts.ask("key", oracle.question) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(error, Unavailable) for error in told)
    assert oracle.asked == 2
    oracle.error = None
    assert await verdicts.ask("key", oracle.question) == "yes"


async def test_an_error_that_nobody_waits_for_is_no_warning() -> None:
    oracle = _Oracle(error=Unavailable("not now"))
    oracle.open.clear()
    verdicts = oracle.verdicts()
    asking = asyncio.create_task(verdicts.ask("key", oracle.question))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    oracle.open.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert oracle.asked == 1


async def test_a_crowd_of_strangers_does_not_crowd_out_who_is_known() -> None:
    oracle, nobody = _Oracle(), _Oracle(None)
    verdicts = oracle.verdicts(most=10)
    await verdicts.ask("known", oracle.question)
    for number in range(1000):
        await verdicts.ask(f"stranger {number}", nobody.question)
    await verdicts.ask("known", oracle.question)
    assert oracle.asked == 1
    await verdicts.ask("stranger 999", nobody.question)
    assert nobody.asked == 1000
    await verdicts.ask("stranger 0", nobody.question)
    assert nobody.asked == 1001, "the oldest went first"
