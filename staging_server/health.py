"""What has to hold for this process to be sent requests (`/readyz`)."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from staging_protocol.errors import StagingError
from staging_server.state import AppState

_PATIENCE: Final = 3.0
"""Seconds for one check; kubelet's own time-out should be longer."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition; `problem` is None when it holds."""

    name: str
    problem: str | None


async def check_ready(state: AppState) -> list[Check]:
    """Look at everything that this process needs to serve."""
    return [
        Check("draining", "the server is on its way out" if state.traffic.draining else None),
        await _check("database", _ask_database(state)),
        await _check("blobs", _ask_blobs(state)),
    ]


async def _check(name: str, question: Awaitable[None]) -> Check:
    try:
        async with asyncio.timeout(_PATIENCE):
            await question
    except TimeoutError:
        return Check(name, f"no answer within {_PATIENCE:g} s")
    except StagingError as error:
        return Check(name, error.detail)
    return Check(name, None)


async def _ask_database(state: AppState) -> None:
    await state.parts.metadata.read(_one, None)


def _one(connection: Connection, _argument: None) -> int:
    return int(connection.execute(select(1)).scalar_one())


async def _ask_blobs(state: AppState) -> None:
    # A full disk is ready: pods still read, sweeps make room, and uploads get 507.
    await state.parts.blobs.space()
