"""What is wrong with a run, and how fair it was."""

from collections.abc import Sequence
from typing import Final

import msgspec

from benchmarks.load.memory import jain
from benchmarks.load.plan import HUNDRED, ONE
from benchmarks.load.reader import Habit, habit_of
from benchmarks.load.run import Result
from benchmarks.load.tally import Share, percentile

MOST_GROWTH: Final = 2.0
"""MiB a minute in the second half: less is what allocators and caches do, a leak of an hour would be 120 MiB."""

MOST_MEMORY: Final = 150.0
"""MiB with 1,200 clients at once: 80 for the program, half a MiB for each upload that runs, some 25 KiB for each
connection, and the caches of the database."""


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """How what was served is shared out, by counts of files: all clients choose among the same sizes.

    Attributes:
        up: uploads of the single uploader of `one`, by those of an average one of `hundred`: at least 1 when nobody
            pays for what another namespace asks for.
        down: the same of readers of whole files over kept connections.
        wait: the median wait of `one` for a place, by that of `hundred`.
        jain_up, jain_down: Jain's index of the namespaces that ask for the same.
    """

    up: float
    down: float
    wait: float
    jain_up: float
    jain_down: float


def fairness(result: Result) -> Fairness:
    """Return how fair the server was."""
    shares = result.summary.shares
    one, hundred = shares.get(ONE, Share()), shares.get(HUNDRED, Share())
    demand = next(demand for demand in result.plan.demands if demand.namespace == HUNDRED)
    keeping = sum(habit_of(number) is Habit.KEPT for number in range(demand.readers))
    equal = [shares.get(namespace, Share()) for namespace in result.plan.equal]
    return Fairness(
        up=_ratio(one.uploads, hundred.uploads / demand.uploaders),
        down=_ratio(one.kept_reads, hundred.kept_reads / keeping),
        wait=_ratio(percentile(one.waits, 50), percentile(hundred.waits, 50)),
        jain_up=jain([share.uploads for share in equal]),
        jain_down=jain([share.reads for share in equal]),
    )


def faults(result: Result, *, most_growth: float | None = MOST_GROWTH, most_memory: float = MOST_MEMORY) -> list[str]:
    """Return what must not be, in words; nothing when all is well.  Growth says nothing after less than a minute."""
    found = [f"{count} x {what}" for what, count in result.summary.failures.items()]
    found += _leftovers(result.left_over)
    if most_growth is not None and result.memory.growth > most_growth:
        found.append(f"memory grows by {result.memory.growth:.1f} MiB a minute, more than {most_growth:g}")
    if result.memory.highest > most_memory:
        found.append(f"memory was up to {result.memory.highest:.0f} MiB, more than {most_memory:g}")
    found += [f"nobody of {name} was served" for name, share in result.summary.shares.items() if not share.uploads]
    return found


def _leftovers(names: Sequence[str]) -> list[str]:
    return [f"{len(names)} left over after everything has ended: {', '.join(names[:5])}"] if names else []


def _ratio(first: float, second: float) -> float:
    return first / second if second else 0.0
