"""One load run: a server, the crowd, memory samples, and what is left when everything has been deleted."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from benchmarks.load.memory import Memory, watched_memory
from benchmarks.load.plan import Plan
from benchmarks.load.tally import Summary
from benchmarks.processes import ENVIRONMENT, RunFailed
from benchmarks.staging import StagingServer, staging_server
from benchmarks.trees import cpu_of_tree
from staging_protocol.api.operators import NewSweep
from staging_protocol.errors import BundleExpired, NotFound
from staging_protocol.uploads import UploadId

_ROOT: Final = Path(__file__).parent.parent.parent
_EMPTY_WITHIN: Final = 180.0
"""Seconds until everything that was staged must be gone: the deleting of some gigabytes."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found.

    Attributes:
        left_over: files below the store and rows of blobs that are still there after everything has ended.
        cpu: CPU seconds of the server.
    """

    plan: Plan
    summary: Summary
    memory: Memory
    cpu: float
    left_over: list[str]


def run(
    plan: Plan, *, folder: Path, settings: Mapping[str, str], seed: int, say: Callable[[dict[str, float]], None]
) -> Result:
    """Load a server of its own; `say` gets totals once a second.

    Raises:
        RunFailed: the crowd or the server ended early.
    """
    with staging_server(folder, settings=settings) as server:
        before = cpu_of_tree(server.pid)
        with watched_memory(server.pid) as memory:
            summary = _crowd(server, plan, folder=folder / "crowd", seed=seed, say=say)
        cpu = cpu_of_tree(server.pid) - before
        left_over = _left_over(server, summary, store=folder / "server")
    return Result(plan=plan, summary=summary, memory=memory, cpu=cpu, left_over=left_over)


def _crowd(
    server: StagingServer, plan: Plan, *, folder: Path, seed: int, say: Callable[[dict[str, float]], None]
) -> Summary:
    parts = urlsplit(server.url)
    task = {
        "host": parts.hostname, "port": parts.port, "folder": str(folder), "seed": seed,
        "plan": msgspec.to_builtins(plan),
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.crowd"], cwd=_ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - tells mypy what PIPE means
        assert process.stdout is not None  # noqa: S101 - tells mypy what PIPE means
        try:
            json.dump(task, process.stdin)
            process.stdin.close()
            last = ""
            for line in process.stdout:
                if last:
                    say(json.loads(last))
                last = line
        finally:
            process.kill()
    if not last.startswith('{"seconds"') or '"answers"' not in last:
        raise RunFailed("the crowd ended early")
    return msgspec.json.decode(last, type=Summary)


def _left_over(server: StagingServer, summary: Summary, *, store: Path) -> list[str]:
    """End all bundles and uploads and let all bytes go; return what is still there then."""
    deadline = time.monotonic() + _EMPTY_WITHIN
    for namespace, upload in summary.open_uploads:
        with suppress(NotFound):
            server.client.cancel_upload(namespace, UploadId(upload))
    while page := server.client.bundles(None).bundles:
        for bundle in page:
            with suppress(NotFound, BundleExpired):  # the sweeper is at it, too
                server.client.delete(bundle.namespace, bundle.id)
    while True:
        server.client.sweep(NewSweep())
        usage = server.client.usage()
        files = _files(store)
        if (not usage.blobs and not files) or time.monotonic() > deadline:
            return [*files, *([f"{usage.blobs} rows of blobs"] if usage.blobs else [])]
        time.sleep(0.5)


def _files(store: Path) -> list[str]:
    """Return the files of blobs and uploads; those of the database and of its lock lie directly in the folder."""
    return [str(path.relative_to(store)) for path in store.rglob("*") if path.is_file() and path.parent != store]
