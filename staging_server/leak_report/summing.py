"""Sums of leftovers, one after another: by state, by age, and the largest of them."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from staging_protocol.printable import printable
from staging_server.leak_report.judging import Jobs, Leftover, State, state_of
from staging_server.leak_report.report import Age, Amount, LargeFolder
from staging_server.leak_report.stores import Problems, UploadFolder, UploadStore

_GIB: Final = 1024**3
_MONTH: Final = 730 * 3600
"""Seconds, as object stores bill a month."""
_LARGEST: Final = 20

_FIRST: Final = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST: Final = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()

AGES: Final = (
    ("under 1 day", timedelta(days=1)),
    ("1 to 7 days", timedelta(days=7)),
    ("7 to 30 days", timedelta(days=30)),
    ("30 to 90 days", timedelta(days=90)),
    ("90 days to 1 year", timedelta(days=365)),
    ("over 1 year", timedelta.max),
)
"""Names, and where each ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A leftover that counts, and what is said of it."""

    folder: UploadFolder
    leftover: Leftover
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts, and how it is judged.

    Attributes:
        jobs: those that there are.
        now: from when ages count.
        older_than: leftovers whose newest file is younger do not count.
        price: of a GiB for a month.
    """

    jobs: Jobs
    now: datetime
    older_than: timedelta | None = None
    price: float | None = None


def counted(
    store: UploadStore, rules: Rules, *, problems: Problems, noted: Callable[[int], None] = lambda _size: None
) -> Iterator[Counted]:
    """Yield each leftover that counts; `noted` is told the size of each file, also of others."""
    for folder in store.folders(problems):
        leftover = _sum_up(store, folder, problems=problems, noted=noted)
        if rules.older_than is None or rules.now - leftover.newest >= rules.older_than:
            state = state_of(leftover, jobs=rules.jobs, now=rules.now)
            yield Counted(folder=folder, leftover=leftover, state=state)


def _sum_up(store: UploadStore, folder: UploadFolder, *, problems: Problems, noted: Callable[[int], None]) -> Leftover:
    before = problems.count
    size = files = 0
    times: tuple[float, float] | None = None
    largest = (-1, "")
    for file in store.files(folder, problems):
        noted(file.size)
        files += 1
        size += file.size
        largest = max(largest, (file.size, file.name))
        oldest, newest = times or (file.modified, file.modified)
        times = min(oldest, file.modified), max(newest, file.modified)
    oldest, newest = times or (folder.modified, folder.modified)
    return Leftover(
        path=folder.path, name=folder.name, size=size, files=files, oldest=_moment(oldest), newest=_moment(newest),
        largest=largest[1], whole=problems.count == before,
    )  # fmt: skip


def _moment(seconds: float) -> datetime:
    """Return a time of a file; what cannot be one counts as the nearest that can."""
    return datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), tz=UTC)


@dataclass(slots=True)
class _Tally:
    folders: int = 0
    files: int = 0
    size: int = 0
    byte_seconds: float = 0.0

    def add(self, leftover: Leftover, *, age: timedelta) -> None:
        self.folders += 1
        self.files += leftover.files
        self.size += leftover.size
        self.byte_seconds += leftover.size * max(0.0, age.total_seconds())

    def amount(self, price: float | None) -> Amount:
        return Amount(
            folders=self.folders, files=self.files, bytes=self.size, per_month=cost(self.size, price),
            until_now=cost(self.byte_seconds / _MONTH, price),
        )  # fmt: skip


def cost(size: float, price: float | None) -> float | None:
    """Return what a month of so many bytes costs."""
    return None if price is None else size / _GIB * price


@dataclass(slots=True)
class Sums:
    """What the report says of all leftovers together."""

    rules: Rules
    _total: _Tally = field(default_factory=_Tally)
    _states: dict[State, _Tally] = field(default_factory=lambda: {state: _Tally() for state in State})
    _ages: dict[str, _Tally] = field(default_factory=lambda: {name: _Tally() for name, _ in AGES})
    _largest: list[tuple[int, str, Counted]] = field(default_factory=list)

    def add(self, found: Counted) -> None:
        """Count one."""
        leftover, age = found.leftover, self.rules.now - found.leftover.newest
        for tally in (self._total, self._states[found.state], self._ages[_age_name(age)]):
            tally.add(leftover, age=age)
        entry = (leftover.size, leftover.path, found)
        if len(self._largest) < _LARGEST:
            heapq.heappush(self._largest, entry)
        else:
            heapq.heappushpop(self._largest, entry)

    @property
    def total(self) -> Amount:
        """Return the sum of all."""
        return self._total.amount(self.rules.price)

    @property
    def states(self) -> dict[State, Amount]:
        """Return the sum for each state."""
        return {state: tally.amount(self.rules.price) for state, tally in self._states.items()}

    @property
    def ages(self) -> tuple[Age, ...]:
        """Return the sum for each age, youngest first."""
        return tuple(Age(age=name, amount=tally.amount(self.rules.price)) for name, tally in self._ages.items())

    def largest(self, shown: Callable[[str], str]) -> tuple[LargeFolder, ...]:
        """Return the largest; `shown` makes text of a path."""
        ordered = sorted(self._largest, key=lambda entry: (-entry[0], entry[1]))
        return tuple(self._large(found, shown) for _, _, found in ordered)

    def _large(self, found: Counted, shown: Callable[[str], str]) -> LargeFolder:
        leftover, namer = found.leftover, self.rules.jobs.names.get(found.leftover.name)
        return LargeFolder(
            path=shown(leftover.path), bytes=leftover.size, files=leftover.files,
            largest_file=printable(leftover.largest),
            oldest=leftover.oldest, newest=leftover.newest, state=found.state,
            application=None if namer is None else printable(namer.application),
            job=None if namer is None else printable(namer.job),
            per_month=cost(leftover.size, self.rules.price),
        )  # fmt: skip


def _age_name(age: timedelta) -> str:
    return next(name for name, end in AGES if age < end)
