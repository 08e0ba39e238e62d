"""What a scenario is given, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.measure import Samples

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """How to measure.

    Attributes:
        folder: an empty folder for data of this scenario; all sides write there, so to the same file system.
        runs: counted rounds.
        quick: sizes about a tenth, to see that everything works; the figures then mean little.
        say: shows progress.
    """

    folder: Path
    runs: int
    quick: bool
    say: Callable[[str], None]

    def sized(self, full: int, *, quick: int) -> int:
        """Return the size or count to use."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a scenario found.

    Attributes:
        size: bytes of payload that a run moves, 0 where that says nothing.
        samples: by side.
        figures: results by name; `targets` names the ones that count.
        notes: what a reader has to know about this comparison.
    """

    title: str
    size: int
    samples: Samples
    figures: Mapping[str, float]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name for the command line, and what to do."""

    name: str
    run: Callable[[Bench], Outcome]
