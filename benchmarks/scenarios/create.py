"""Bundles created per second: unchanged bundles of one job after another, as a scheduler submits them."""

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.clients import create
from benchmarks.data import random_files
from benchmarks.measure import OURS, Sample, Side, alternate, seconds, server_cpu
from benchmarks.processes import RunFailed, measure
from benchmarks.scenario import KIB, Bench, Outcome
from benchmarks.staging import NAMESPACE, StagingServer, describe, staging_server
from staging_protocol.api.creation import NewBundle
from staging_protocol.wire import encode

_FILES = 3
_CONNECTIONS = 64
"""As many as the writer groups into one transaction (DESIGN, section 7)."""


def run(bench: Bench) -> Outcome:
    """Create bundles of three held files over 64 kept connections."""
    requests = bench.sized(10_000, quick=1000)
    with staging_server(bench.folder) as ours:
        paths = random_files(bench.folder / "files", count=_FILES, size=KIB, suffix=".jar")
        ours.stage(paths)
        bundle = NewBundle(application="benchmark", files=tuple(describe(path) for path in paths))
        task = _task(ours, body=encode(bundle).decode(), requests=requests)
        samples = alternate([Side(OURS, lambda: _once(ours, task=task))], runs=bench.runs, say=bench.say)
    return Outcome(
        title=f"Create {requests} bundles of {_FILES} held files, {_CONNECTIONS} in flight",
        size=0,
        samples=samples,
        figures={
            "bundles per second": requests / seconds(samples[OURS]),
            # What is left of other programs' noise: the rate if the server had a core for itself.
            "bundles per CPU second of the server": requests / server_cpu(samples[OURS]),
        },
        notes=("No peer: nothing else does this. Each creation is sealed at once, and is durable when answered.",),
    )


def _task(server: StagingServer, *, body: str, requests: int) -> bytes:
    parts = urlsplit(server.url)
    head = (
        f"POST /v1/namespaces/{NAMESPACE}/bundles HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n"
    )
    task = {
        "host": parts.hostname, "port": parts.port, "head": head, "body": body, "connections": _CONNECTIONS,
        "requests": requests,
    }  # fmt: skip
    return json.dumps(task).encode()


def _once(server: StagingServer, *, task: bytes) -> Sample:
    measured = measure([sys.executable, "-I", str(Path(create.__file__))], server=server.pid, stdin=task)
    result = json.loads(measured.output)
    if result["errors"]:
        msg = f"{result['errors']} of the requests did not create a bundle: {result.get('answer', '')}"
        raise RunFailed(msg)
    return Sample.of(measured, seconds=result["seconds"])
