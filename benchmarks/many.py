"""Measuring a server while many clients GET from it at once, with the generator `clients/fan_out.py`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.clients import fan_out
from benchmarks.measure import Sample
from benchmarks.processes import RunFailed, measure

Request = tuple[str, Mapping[str, str]]
"""URL and headers."""


def get_many(
    server: int, *, requests: Sequence[Request], clients: int, size: int | None, repeat: int = 1, kept: bool = False
) -> Sample:
    """Send all requests, each `repeat` times, by `clients` connections at once.

    `size` is that of every answer, None where it does not matter.  Unless connections are `kept`, each request has one
    of its own.  The seconds are the generator's, from the first connect to the last byte; errors are counted.
    """
    parts = urlsplit(requests[0][0])
    count = len(requests) * repeat
    task = {
        "host": parts.hostname, "port": parts.port, "clients": clients if kept else count, "repeat": repeat,
        "requests": [request_text(url, headers=headers, kept=kept) for url, headers in requests],
    }  # fmt: skip
    program = [sys.executable, "-I", str(Path(fan_out.__file__))]
    measured = measure(program, server=server, stdin=json.dumps(task).encode())
    result = json.loads(measured.output)
    if size is not None and not result["errors"] and result["bytes"] != count * size:
        msg = f"{result['bytes']} bytes came instead of {count * size}"
        raise RunFailed(msg)
    return Sample.of(measured, seconds=result["seconds"], counts={"errors": result["errors"]})


def errors(samples: Sequence[Sample]) -> float:
    """Return the most errors of a run."""
    return max(sample.counts["errors"] for sample in samples)


def request_text(url: str, *, headers: Mapping[str, str], kept: bool) -> str:
    """Return a GET as it goes over the wire."""
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *([] if kept else ["Connection: close"])]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""])
