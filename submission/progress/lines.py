"""Progress without a moving picture: nothing but notices, a line a phase, or JSON."""

import json
import time
from threading import Lock
from typing import Any, Final, TextIO

from submission.progress.telling import WORDS, InFlight, in_words

_JSON_INTERVAL: Final = 0.5
"""Seconds between two lines about the same phase."""

_JSON_FILES: Final = 8
"""Files in flight that a line of JSON names."""


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
