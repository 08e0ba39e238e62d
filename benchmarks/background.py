"""Load behind a measurement, from a process of its own (`clients/traffic.py`), which ends with the block or with us."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.many import Request, request_text
from benchmarks.processes import ENVIRONMENT, RunFailed
from benchmarks.trees import on_cores
from benchmarks.uploading import Part

_ROOT: Final = Path(__file__).parent.parent
_ENDED_WITHIN: Final = 30.0


class Traffic:
    """What the load did; filled when it has ended."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}


@contextmanager
def traffic(
    url: str, *, reads: Sequence[Request] = (), uploads: Sequence[Sequence[Part]] = (), cores: set[int] | None = None
) -> Iterator[Traffic]:
    """Send each of `reads` again and again, and each list of `uploads` once, all at the same time.

    `cores` are the processors that the load may use, all by default.

    Raises:
        RunFailed: a request failed, or nothing was read.
    """
    parts = urlsplit(url)
    task = {
        "host": parts.hostname, "port": parts.port,
        "reads": [request_text(address, headers=headers, kept=True) for address, headers in reads],
        "uploads": [list(requests) for requests in uploads],
    }  # fmt: skip
    found = Traffic()
    with subprocess.Popen(
        on_cores(cores, [sys.executable, "-m", "benchmarks.clients.traffic"]), cwd=_ROOT, env=ENVIRONMENT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - tells mypy what PIPE means
        try:
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
            yield found
            output, _ = process.communicate(timeout=_ENDED_WITHIN)
        finally:
            process.kill()
    found.counts = json.loads(output)
    if found.counts.get("errors") or (reads and not found.counts.get("reads")):
        msg = f"the load behind the measurement failed: {found.counts}"
        raise RunFailed(msg)
