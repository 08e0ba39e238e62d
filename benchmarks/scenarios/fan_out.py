"""GET of one file by many clients at once, as when all executors of a job start."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.clients import fan_out
from benchmarks.data import random_file
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.processes import RunFailed, measure
from benchmarks.scenario import MIB, Bench, Outcome
from benchmarks.staging import staging_server
from tests.services.nginx import running_nginx

NGINX_AUTO = "nginx, a worker per core"


def run(bench: Bench) -> Outcome:
    """Measure our one process, nginx with one worker, and nginx with one per core."""
    size, clients = 10 * MIB, bench.sized(1000, quick=100)
    with (
        staging_server(bench.folder) as ours,
        running_nginx(bench.folder / "nginx", access_log=False) as nginx,
        running_nginx(bench.folder / "nginx-auto", access_log=False, workers="auto") as nginx_auto,
    ):
        file = random_file(nginx.root / "some.jar", size=size)
        (nginx_auto.root / file.name).hardlink_to(file)
        url, headers = ours.file_request(ours.stage([file]), file)
        sides = [
            Side(OURS, lambda: _once(ours.pid, url=url, headers=headers, clients=clients, size=size)),
            Side("nginx", lambda: _once(nginx.pid, url=f"{nginx.url}/{file.name}", clients=clients, size=size)),
            Side(
                NGINX_AUTO,
                lambda: _once(nginx_auto.pid, url=f"{nginx_auto.url}/{file.name}", clients=clients, size=size),
            ),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    errors = max(sample.counts["errors"] for sample in samples[OURS])
    return Outcome(
        title=f"GET {size // MIB} MiB by {clients} clients at once",
        size=size * clients,
        samples=samples,
        figures={**speed(samples, against="nginx"), **speed(samples, against=NGINX_AUTO), "errors": errors},
        notes=(
            "Seconds: from the first connect to the last byte, taken by the load generator.",
            "The verdict is against nginx with one worker, because our server is one process.",
        ),
    )


def _once(server: int, *, url: str, clients: int, size: int, headers: Mapping[str, str] | None = None) -> Sample:
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    task = {
        "host": parts.hostname, "port": parts.port, "clients": clients, "request": "\r\n".join([*lines, "", ""])
    }  # fmt: skip
    program = [sys.executable, "-I", str(Path(fan_out.__file__))]
    measured = measure(program, server=server, stdin=json.dumps(task).encode())
    result = json.loads(measured.output)
    if not result["errors"] and result["bytes"] != clients * size:
        msg = f"{result['bytes']} bytes came instead of {clients * size}"
        raise RunFailed(msg)
    return Sample.of(measured, seconds=result["seconds"], counts={"errors": result["errors"]})
