"""The moving picture on a terminal: a bar for everything, below it one for each file in flight.

    Resolving 37/200 files  ━━━━━━━━━━━━━━╸──────────────   1.2/3.1 GiB   212.4 MiB/s  0:00:09
      spark-had…3-4.3.0.jar ━━━━━━━━━━━━━━━━━━━━━━━╸─────  61.0/64.0 MiB   34.1 MiB/s  0:00:00

Nothing is drawn when something happens, only ten times a second: ten thousand small files cost no more than one.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from submission.progress.telling import WORDS, InFlight, Progress, in_words

_PER_SECOND: Final = 10
"""Pictures a second."""

_MOST_FILES: Final = 8
"""Files with a line of their own."""

_SPEED_OVER: Final = 5.0
"""Seconds of which the speed is the mean: it neither jumps nor lags."""


class _Speed:
    """How fast something moves, from where it was in the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, position: int) -> float | None:
        """Return bytes a second, once there is something to compare with."""
        self._seen.append((now, position))
        while now - self._seen[0][0] > _SPEED_OVER:
            self._seen.popleft()
        then, before = self._seen[0]
        return max(0, position - before) / (now - then) if now > then else None


class _Name:
    """A name that is too long loses its middle: of jars the end tells most."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, cell_len(self._name))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name, room = self._name, options.max_width
        if cell_len(name) > room:
            end = (room - 1) // 2
            name = f"{name[: room - 1 - end]}…{name[len(name) - end :]}"
        yield Text(name, no_wrap=True, overflow="ellipsis")


class Bars:
    """What is drawn; calls may come from several threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = Lock()
        self._phase = ""
        self._total = InFlight(name="", size=0)
        self._files = self._files_done = 0
        self._speeds: dict[InFlight, _Speed] = {}

    def phase(self, name: str, *, size: int, files: int = 0) -> None:
        """Begin anew, or go on with another size."""
        with self._lock:
            if name != self._phase:
                self._phase, self._files_done = name, 0
                self._total = InFlight(name=WORDS.get(name, name), size=size)
                self._speeds = {self._total: _Speed()}
            self._total.size, self._files = size, files

    def advance(self, size: int, *, files: int = 0) -> None:
        """Count."""
        with self._lock:
            self._total.position += size
            self._files_done += files

    def began(self, file: InFlight) -> None:
        """Give it a line."""
        with self._lock:
            self._speeds[file] = _Speed()

    def ended(self, file: InFlight) -> None:
        """Take its line away."""
        with self._lock:
            self._speeds.pop(file, None)

    def notice(self, text: str) -> None:
        """Print the text above."""
        self._console.print(text, markup=False, highlight=False)

    def picture(self) -> RenderableType:
        """Return what is to be seen now."""
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        table.add_column(ratio=2, min_width=8)
        for _ in range(3):
            table.add_column(no_wrap=True, justify="right")
        with self._lock:
            if not self._total.size:
                return table
            now = time.monotonic()
            total, *files = [(file, speed.at(now, file.position)) for file, speed in self._speeds.items()]
            counted = f" {self._files_done}/{self._files} files" if self._files > 1 else ""
            table.add_row(*_row(*total, name=f"{total[0].name}{counted}"))
            # One file alone would say the same twice.
            for file, speed in files[: self._most] if self._files > 1 else []:
                table.add_row(*_row(file, speed, name=f"  {file.name}"))
        return table

    @property
    def _most(self) -> int:
        return max(0, min(_MOST_FILES, self._console.height - 2))


def _row(file: InFlight, speed: float | None, *, name: str) -> tuple[RenderableType, ...]:
    bar = ProgressBar(total=file.size, completed=file.position, pulse=file.size is None)
    return _Name(name), bar, Text(_amount(file)), Text(_rate(speed)), Text(_remaining(file, speed))


def _amount(file: InFlight) -> str:
    if file.size is None:
        return in_words(file.position)
    whole = in_words(file.size)
    number, _, unit = whole.partition(" ")
    done = in_words(min(file.position, file.size))
    return f"{done.removesuffix(f' {unit}')}/{number} {unit}"


def _rate(speed: float | None) -> str:
    return "" if speed is None else f"{in_words(int(speed))}/s"


def _remaining(file: InFlight, speed: float | None) -> str:
    if file.size is None or not speed:
        return ""
    return str(timedelta(seconds=round(max(0, file.size - file.position) / speed)))


@contextmanager
def drawn(stream: TextIO) -> Iterator[Progress]:
    """Draw on a terminal; in the end the picture is gone, and notices stay."""
    console = Console(file=stream)
    bars = Bars(console)
    with Live(get_renderable=bars.picture, console=console, refresh_per_second=_PER_SECOND, transient=True):
        yield bars
