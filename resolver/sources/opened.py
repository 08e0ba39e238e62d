"""Readings that one part of the resolver has begun and another one goes on with."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Never

import msgspec

from resolver.sources.base import Reading, Stat
from staging_protocol.errors import TransientError


class Opened:
    """A reading that is open already, so that what opening it raised was met where something else could be tried."""

    __slots__ = ("_manager", "reading")

    def __init__(self, manager: AbstractContextManager[Reading]) -> None:
        """Open it."""
        self._manager = manager
        self.reading = manager.__enter__()

    def __enter__(self) -> Reading:
        return self.reading

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._manager.__exit__(kind, error, traceback)


class Unopened(msgspec.Struct, frozen=True):
    """A reading that could not be opened: whoever opens it meets that error."""

    error: TransientError

    def __enter__(self) -> Never:
        raise self.error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is open."""


class BrokenOff(msgspec.Struct, kw_only=True):
    """A reading that was read elsewhere, until it broke off: it gives what arrived, and then its error, or its end."""

    stat: Stat
    start: int
    stop: int | None
    arrived: bytes
    error: TransientError | None
    says_its_end: bool = True

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` from what arrived."""
        if not self.arrived and self.error is not None:
            raise self.error
        count = min(len(buffer), len(self.arrived))
        buffer[:count] = self.arrived[:count]
        self.arrived = self.arrived[count:]
        return count

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Its connection was closed before."""


_: tuple[type[AbstractContextManager[Reading]], ...] = (Opened, Unopened, BrokenOff)
