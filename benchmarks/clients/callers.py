"""One request for each token, a fixed number in flight over kept connections; each is timed.

Answers are read no further than needed: status, Content-Length, and that many bytes.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Send a request; return whether its answer is 200."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    start = head.lower().find(b"content-length:")
    if start >= 0:
        await reader.readexactly(int(head[start + 15 :].split(b"\r\n", 1)[0]))
    return head.startswith(b"HTTP/1.1 200")


async def _connection(task: dict[str, Any], tokens: Iterator[str], latencies: list[float]) -> int:
    """Ask with one token after another; return how many were not let in."""
    reader, writer = await asyncio.open_connection(task["host"], task["port"])
    head = f"GET {task['path']} HTTP/1.1\r\nHost: {task['host']}:{task['port']}\r\nAuthorization: Bearer "
    failed = 0
    for token in tokens:
        begin = perf_counter()
        failed += not await _ask(reader, writer, f"{head}{token}\r\n\r\n".encode())
        latencies.append((perf_counter() - begin) * 1000)
    writer.close()
    return failed


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Ask once with each of `tokens` over `connections` connections."""
    tokens, latencies = iter(task["tokens"]), list[float]()
    begin = perf_counter()
    failed = await asyncio.gather(*(_connection(task, tokens, latencies) for _ in range(task["connections"])))
    return {"seconds": perf_counter() - begin, "latencies": latencies, "errors": sum(failed)}


def main() -> None:
    """Read the task `{host, port, path, tokens, connections}`; print `{seconds, latencies (ms), errors}`."""
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
