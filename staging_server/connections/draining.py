"""Leaving in order: what a signal begins, and what waits for it.

On SIGTERM the server says that it is not ready and takes no new uploads and bundles; `timeouts.shutdown_delay` later it
takes nothing new at all; what runs may end within `timeouts.shutdown`.  A second signal cuts off what still runs.
"""

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from typing import Final

import structlog

from staging_server.settings import TimeoutSettings
from staging_server.state import Traffic

_log: Final = structlog.get_logger("server")

_LOOK_EVERY: Final = 0.05
"""Seconds between two looks at whether what runs has ended."""


@dataclass(frozen=True, slots=True)
class Departure:
    """That the server shall leave, and that it shall hurry."""

    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    hurried: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """Leave; asked again, hurry."""
        (self.hurried if self.wanted.is_set() else self.wanted).set()

    def on_signals(self) -> None:
        """Let SIGTERM and SIGINT ask."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)


async def drain(traffic: Traffic, timeouts: TimeoutSettings, departure: Departure) -> None:
    """Let what runs end, with new work refused, unless someone hurries."""
    traffic.draining = True
    _log.info("shutting down", in_flight=traffic.in_flight)
    await _hurried(departure, within=timeouts.shutdown_delay)
    traffic.closed = True
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeouts.shutdown
    while traffic.in_flight and not departure.hurried.is_set() and loop.time() < deadline:
        await _hurried(departure, within=_LOOK_EVERY)
    _log.info("stopped", cut_off=traffic.in_flight)


async def _hurried(departure: Departure, *, within: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            await departure.hurried.wait()
