"""Telling a waiting person, or a program, how far things are; always on standard error.

bar     on a terminal: a moving line for everything, and one for each file in flight (`bars`)
plain   a line when a phase begins
json    one JSON object a line
none    nothing but warnings
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from types import TracebackType
from typing import Any, Final, Protocol, Self, TextIO

WORDS: Final = {"hash": "Reading", "upload": "Staging", "download": "Resolving"}
"""What a phase is called."""

_JSON_INTERVAL: Final = 0.5
"""Seconds between two lines about the same phase."""

_JSON_FILES: Final = 8
"""Files in flight that a line of JSON names."""


@dataclass(slots=True, kw_only=True, eq=False)
class InFlight:
    """A file that is being moved, or several that go together; whoever moves it says how far it is.

    `size` is None while nobody knows it.
    """

    name: str
    size: int | None
    position: int = 0


class Progress(Protocol):
    """What commands tell.  Calls may come from several threads."""

    def phase(self, name: str, *, size: int, files: int = 0) -> None:
        """Begin a phase in which `size` bytes of `files` files will be moved, or say anew how much it is."""

    def advance(self, size: int, *, files: int = 0) -> None:
        """`size` further bytes, and `files` further files, are done."""

    def began(self, file: InFlight) -> None:
        """Show `file`, and look now and then how far it is."""

    def ended(self, file: InFlight) -> None:
        """Show it no longer."""

    def notice(self, text: str) -> None:
        """Say something that a person should know, such as why there is a wait."""


class FileProgress:
    """How far one file is, or several that go together; what is sent again after a failure does not count again.

    As a context manager it is in flight.
    """

    def __init__(self, progress: Progress, name: str, *, size: int | None, files: int = 1) -> None:
        self._progress = progress
        self._shown = InFlight(name=name, size=size)
        self._files = files

    def __enter__(self) -> Self:
        self._progress.began(self._shown)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.ended(self._shown)
        if error is None:
            self._progress.advance(0, files=self._files)

    def reached(self, position: int) -> None:
        """All bytes before `position` are done."""
        further = position - self._shown.position
        if further > 0:
            self._shown.position = position
            self._progress.advance(further)

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
            from submission.progress.bars import drawn

            with drawn(stream) as bars:
                yield bars
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

    def phase(self, name: str, *, size: int, files: int = 0) -> None:
        """Say nothing."""

    def advance(self, size: int, *, files: int = 0) -> None:
        """Say nothing."""

    def began(self, file: InFlight) -> None:
        """Say nothing."""

    def ended(self, file: InFlight) -> None:
        """Say nothing."""

    def notice(self, text: str) -> None:
        """Print the text."""
        print(text, file=self._stream, flush=True)


class Plain(Quiet):
    """Says when a phase begins."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._phase = ""

    def phase(self, name: str, *, size: int, files: int = 0) -> None:
        """Print one line, unless there is nothing to do."""
        if size and name != self._phase:
            self._phase = name
            several = f" in {files} files" if files > 1 else ""
            print(f"{WORDS.get(name, name)} {in_words(size)}{several}", file=self._stream, flush=True)


class JsonLines:
    """One JSON object a line: `event` is phase, progress or notice."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()
        self._phase = ""
        self._size = self._done = self._files = self._files_done = 0
        self._in_flight: dict[InFlight, None] = {}
        self._told = 0.0

    def phase(self, name: str, *, size: int, files: int = 0) -> None:
        """Print the beginning; a size that is learned later stands in the further lines."""
        with self._lock:
            self._size, self._files = size, files
            if name != self._phase:
                self._phase, self._done, self._files_done = name, 0, 0
                self._say(event="phase", phase=name, size=size, files=files)

    def advance(self, size: int, *, files: int = 0) -> None:
        """Print how far it is, at the end or when the last line is some time ago."""
        with self._lock:
            self._done += size
            self._files_done += files
            now = time.monotonic()
            is_end = self._done >= self._size and self._files_done >= self._files
            if is_end or now - self._told >= _JSON_INTERVAL:
                self._told = now
                self._say(
                    event="progress", phase=self._phase, done=self._done, size=self._size,
                    files_done=self._files_done, files=self._files, in_flight=self._listed(),
                )  # fmt: skip

    def began(self, file: InFlight) -> None:
        """Note it for the next line."""
        with self._lock:
            self._in_flight[file] = None

    def ended(self, file: InFlight) -> None:
        """Forget it."""
        with self._lock:
            self._in_flight.pop(file, None)

    def notice(self, text: str) -> None:
        """Print the text."""
        with self._lock:
            self._say(event="notice", detail=text)

    def _listed(self) -> list[dict[str, Any]]:
        shown = list(self._in_flight)[:_JSON_FILES]
        return [{"name": file.name, "done": file.position, "size": file.size} for file in shown]

    def _say(self, **fields: object) -> None:
        print(json.dumps(fields), file=self._stream, flush=True)


def in_words(size: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:  # noqa: PLR2004 - the definition of KiB
            return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
