"""obstore (Rust): streams of its `get_async`, some at a time."""

import asyncio
import json
import sys
from pathlib import Path

from obstore.store import S3Store

_AT_ONCE = 16


async def _main() -> None:
    task = json.load(sys.stdin)
    store = S3Store(
        task["bucket"], endpoint=task["endpoint"], region=task["region"], virtual_hosted_style_request=False,
        access_key_id=task["key"], secret_access_key=task["secret"], client_options={"allow_http": True},
    )  # fmt: skip
    into, places = Path(task["into"]), asyncio.Semaphore(_AT_ONCE)

    async def bring(name: str) -> None:
        async with places:
            answer = await store.get_async(name)
            with (into / name).open("wb") as file:
                async for piece in answer.stream(min_chunk_size=1024 * 1024):
                    file.write(piece)

    await asyncio.gather(*(bring(name) for name in task["names"]))


asyncio.run(_main())
