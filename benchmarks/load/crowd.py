"""The process with all the clients.

It reads its task `{host, port, folder, seed, plan}` from standard input, prints totals once a second, a JSON object a
line, and at the end the summary.
"""

import asyncio
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.load.plan import Plan
from benchmarks.load.reader import Reader
from benchmarks.load.shelf import Contents, Shelf
from benchmarks.load.tally import Summary, Tally
from benchmarks.load.uploader import Town, Uploader

_LINE_EVERY: Final = 1.0


async def run(task: dict[str, Any]) -> Summary:
    """Let all clients go on for the plan's seconds."""
    plan = msgspec.convert(task["plan"], Plan)
    tally, began = Tally(), time.monotonic()
    town = Town(
        address=(task["host"], task["port"]), plan=plan, tally=tally, shelf=Shelf(),
        contents=Contents(Path(task["folder"]), sizes=plan.sizes, seed=task["seed"]),
    )  # fmt: skip
    clients = [asyncio.create_task(client.run()) for client in _clients(town, seed=task["seed"])]
    latest = 0.0
    while (asked := time.monotonic()) < began + plan.seconds:
        await asyncio.wait(clients, timeout=_LINE_EVERY, return_when=asyncio.FIRST_COMPLETED)
        latest = max(latest, time.monotonic() - asked - _LINE_EVERY)
        if any(client.done() for client in clients):
            break  # a client never ends by itself: it has an error of ours, which the end raises
        print(json.dumps({"seconds": time.monotonic() - began, **tally.line()}), flush=True)
    summary = tally.summary(seconds=time.monotonic() - began, late=latest)
    for client in clients:
        client.cancel()
    for outcome in await asyncio.gather(*clients, return_exceptions=True):
        if not isinstance(outcome, asyncio.CancelledError | None):
            raise outcome
    return summary


def _clients(town: Town, *, seed: int) -> Iterator[Uploader | Reader]:
    numbers = random.Random(seed)  # noqa: S311 - it makes a run repeatable
    for demand in town.plan.demands:
        for number in range(demand.uploaders):
            yield Uploader(town, namespace=demand.namespace, number=number, seed=numbers.getrandbits(32))
        for number in range(demand.readers):
            yield Reader(town, namespace=demand.namespace, number=number, seed=numbers.getrandbits(32))


def main() -> None:
    """Do what standard input says."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    summary = asyncio.run(run(json.load(sys.stdin)))
    sys.stdout.buffer.write(msgspec.json.encode(summary) + b"\n")


if __name__ == "__main__":
    main()
