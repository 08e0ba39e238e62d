"""What is told while things are moved: phases, bytes, files in flight, and notices."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from staging_protocol.counted import counted

WORDS: Final = {"hash": "Reading", "upload": "Staging", "download": "Resolving"}
"""What a phase is called."""


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


def in_words(size: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:  # noqa: PLR2004 - the definition of KiB
            return counted(size, "byte") if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
