"""The lead: one process watches and sweeps, and lets go of the watch when it has lost the lease."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, text

from staging_protocol.tokens import BundleId
from staging_server.audit import SWEEPER
from staging_server.metadata.base import one_by_one
from staging_server.observer import Silent
from staging_server.retention.lead import Lead, LeadSights
from staging_server.retention.sights import UNKNOWN, UNOBSERVED, Seen, Sights
from staging_server.tenants import Tenant
from tests.staging_server.domain import Domain, open_domain

RED = Tenant(namespace="red", uid="u")


class Standing(Silent):
    """Knows whether its process has the lead."""

    def __init__(self) -> None:
        self.took = asyncio.Event()
        self.lost = asyncio.Event()

    def lead_held(self, *, held: bool) -> None:
        (self.took if held else self.lost).set()


class Candidate:
    """A process that wants the lead."""

    def __init__(self, domain: Domain, *, sweep_every: float = 0.01) -> None:
        self.standing = Standing()
        self.sights = LeadSights(UNKNOWN)
        self.closed = asyncio.Event()
        self.known: Callable[[], None] = lambda: None
        lead = Lead(
            metadata=domain.parts.metadata, sweeper=domain.parts.sweeper, sights=self.sights,
            open_sights=self._open, sweep_every=sweep_every, try_every=0.01, observer=self.standing,
        )  # fmt: skip
        self.task = asyncio.create_task(lead.run())

    @asynccontextmanager
    async def _open(self, known: Callable[[], None]) -> AsyncIterator[Sights]:
        self.known = known
        try:
            yield UNOBSERVED
        finally:
            self.closed.set()

    @property
    def watches(self) -> bool:
        return self.sights.pods(RED, BundleId.generate()).seen is Seen.UNOBSERVED

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def steal(connection: Connection, _nothing: None) -> None:
    connection.execute(text("UPDATE leases SET holder = 'thief', until = 9223372036854775807 WHERE name = 'lead'"))


async def test_only_one_has_the_lead_and_the_other_one_follows(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain, asyncio.timeout(60):
        first = Candidate(domain)
        await first.standing.took.wait()
        second = Candidate(domain)
        swept = domain.parts.sweeper.last_success
        while domain.parts.sweeper.last_success == swept:  # noqa: ASYNC110 - a sweep sends no events
            await asyncio.sleep(0.01)
        assert first.watches
        assert not second.watches
        assert not second.standing.took.is_set()
        await first.end()
        assert first.closed.is_set()
        assert not first.watches
        await second.standing.took.wait()
        await second.end()


async def test_what_becomes_known_is_swept_long_before_the_interval_is_over(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain, asyncio.timeout(60):
        candidate = Candidate(domain, sweep_every=3600)
        for _ in range(2):
            domain.parts.sweeper.last_success = None
            candidate.known()
            while domain.parts.sweeper.last_success is None:  # noqa: ASYNC110 - a sweep sends no events
                await asyncio.sleep(0.01)
        await candidate.end()


async def test_a_lost_lead_ends_the_watch(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain, asyncio.timeout(60):
        candidate = Candidate(domain)
        await candidate.standing.took.wait()
        await domain.parts.metadata.write(one_by_one(steal), None)
        await candidate.standing.lost.wait()
        assert candidate.closed.is_set()
        assert not candidate.watches
        await candidate.end()


async def test_a_sweep_that_is_cancelled_at_any_moment_does_not_keep_the_others_from_sweeping(tmp_path: Path) -> None:
    async with open_domain(tmp_path) as domain, asyncio.timeout(60):
        for turns in range(30):
            sweep = asyncio.create_task(domain.parts.sweeper.sweep(dry_run=False, caller=SWEEPER))
            for _ in range(turns):
                await asyncio.sleep(0)
            sweep.cancel()
            await asyncio.gather(sweep, return_exceptions=True)
            await domain.parts.sweeper.sweep(dry_run=False, caller=SWEEPER)
