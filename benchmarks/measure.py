"""The sides of a comparison, measured in turn: A B A B …, so that noise of the machine meets them alike.

Medians are of single runs; the ratio of two sides is given twice, from their medians and as the median of the ratios
of runs that followed one another.  The first round warms up and is not counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.processes import Cost, Measured

OURS: Final = "spark-staging"
"""Name of our own side in every scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One counted run; `counts` are figures of a scenario's own, such as requests or errors."""

    seconds: float
    server: Cost | None
    client: Cost | None
    others: float
    counts: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, measured: Measured, *, seconds: float | None = None, counts: Mapping[str, float] | None = None
    ) -> "Sample":
        """Return `measured` as a sample; `seconds` where the client itself took the time of what counts."""
        return cls(
            seconds=measured.seconds if seconds is None else seconds,
            server=measured.server,
            client=measured.client,
            others=measured.others,
            counts=counts or {},
        )


@dataclass(frozen=True, slots=True)
class Side:
    """One of the things compared; `once` does one run, with the preparation that is not timed."""

    name: str
    once: Callable[[], Sample]


Samples = Mapping[str, Sequence[Sample]]


def alternate(sides: Sequence[Side], *, runs: int, say: Callable[[str], None]) -> Samples:
    """Run all sides in turn, `runs` rounds after one that warms up, and return the samples by side."""
    samples: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for number in range(runs + 1):
        for side in sides:
            say(f"{side.name}, {f'run {number} of {runs}' if number else 'warm-up'}")
            sample = side.once()
            if number > 0:
                samples[side.name].append(sample)
    return samples


def seconds(samples: Sequence[Sample]) -> float:
    """Return the median duration."""
    return median(sample.seconds for sample in samples)


def server_cpu(samples: Sequence[Sample]) -> float:
    """Return the median CPU seconds of the server, 0 without one."""
    return median(0.0 if sample.server is None else sample.server.cpu for sample in samples)


def speed(samples: Samples, *, against: str) -> dict[str, float]:
    """Return how fast we are for a peer's 1: from the medians, and the median of neighbouring runs' ratios."""
    ours, peer = samples[OURS], samples[against]
    pairs = [theirs.seconds / mine.seconds for mine, theirs in zip(ours, peer, strict=True)]
    return {f"speed/{against}": seconds(peer) / seconds(ours), f"speed pairwise/{against}": median(pairs)}
