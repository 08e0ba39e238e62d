"""Telling a waiting person, or a program, how far things are; always on standard error.

bar     on a terminal: one moving line for each phase
plain   a line when a phase begins
json    one JSON object a line
none    nothing but warnings
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import TaskID

_WORDS: Final = {"hash": "Reading", "upload": "Staging", "download": "Resolving"}
_JSON_INTERVAL: Final = 0.5
"""Seconds between two lines about the same phase."""


class Progress(Protocol):
    """What `stage` and `run` tell.  Calls may come from several threads."""

    def phase(self, name: str, *, size: int) -> None:
        """Begin a phase in which `size` bytes will be moved."""

    def advance(self, size: int) -> None:
        """`size` further bytes are done."""

    def notice(self, text: str) -> None:
        """Say something that a person should know, such as why there is a wait."""


class FileProgress:
    """How far one file is, or several that go together; what is sent again after a failure does not count again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._position = 0

    def reached(self, position: int) -> None:
        """All bytes before `position` are done."""
        if position > self._position:
            self._progress.advance(position - self._position)
            self._position = position

    def behind(self, size: int) -> Callable[[int], None]:
        """Return `reached` for what comes behind `size` bytes."""
        return lambda position: self.reached(size + position)


class ProgressStyle(StrEnum):
    """Values of `--progress`."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


@contextmanager
def shown(style: ProgressStyle, *, stream: TextIO | None = None) -> Iterator[Progress]:
    """Yield the progress of the style, and clear up what it drew."""
    stream = stream or sys.stderr
    match style:
        case ProgressStyle.AUTO if stream.isatty():
            with _bar(stream) as bar:
                yield bar
        case ProgressStyle.AUTO | ProgressStyle.NONE:
            yield Quiet(stream)
        case ProgressStyle.PLAIN:
            yield Plain(stream)
        case ProgressStyle.JSON:
            yield JsonLines(stream)


class Quiet:
    """Says notices only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def phase(self, name: str, *, size: int) -> None:
        """Say nothing."""

    def advance(self, size: int) -> None:
        """Say nothing."""

    def notice(self, text: str) -> None:
        """Print the text."""
        print(text, file=self._stream, flush=True)


class Plain(Quiet):
    """Says when a phase begins."""

    def phase(self, name: str, *, size: int) -> None:
        """Print one line, unless there is nothing to do."""
        if size:
            print(f"{_WORDS.get(name, name)} {in_words(size)}", file=self._stream, flush=True)


class JsonLines:
    """One JSON object a line: `event` is phase, progress or notice."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()
        self._phase = ""
        self._size = self._done = 0
        self._told = 0.0

    def phase(self, name: str, *, size: int) -> None:
        """Print the beginning."""
        with self._lock:
            self._phase, self._size, self._done = name, size, 0
            self._say(event="phase", phase=name, size=size)

    def advance(self, size: int) -> None:
        """Print how far it is, at the end or when the last line is some time ago."""
        with self._lock:
            self._done += size
            now = time.monotonic()
            if self._done >= self._size or now - self._told >= _JSON_INTERVAL:
                self._told = now
                self._say(event="progress", phase=self._phase, done=self._done, size=self._size)

    def notice(self, text: str) -> None:
        """Print the text."""
        with self._lock:
            self._say(event="notice", detail=text)

    def _say(self, **fields: object) -> None:
        print(json.dumps(fields), file=self._stream, flush=True)


@contextmanager
def _bar(stream: TextIO) -> Iterator[Progress]:
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(binary_units=True),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(file=stream), transient=True) as drawn:
        task: list[TaskID] = []

        class Bar:
            def phase(self, name: str, *, size: int) -> None:
                for old in task:
                    drawn.remove_task(old)
                task[:] = [drawn.add_task(_WORDS.get(name, name), total=size)] if size else []

            def advance(self, size: int) -> None:
                for current in task:
                    drawn.advance(current, size)

            def notice(self, text: str) -> None:
                drawn.console.print(text, markup=False, highlight=False)

        yield Bar()


def in_words(size: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:  # noqa: PLR2004 - the definition of KiB
            return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
