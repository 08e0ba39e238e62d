"""Tasks that live as long as a block, so that each has an owner."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def owned(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run `work` beside, from before the block to its end."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
