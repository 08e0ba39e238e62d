"""GET by many clients at once: of one file, as when all executors of a job start, and of a file each."""

from functools import partial

from benchmarks.data import random_file, random_files
from benchmarks.many import Request, errors, get_many
from benchmarks.measure import OURS, Samples, Side, alternate, speed
from benchmarks.scenario import MIB, Bench, Outcome
from benchmarks.staging import staging_server
from tests.services.nginx import running_nginx

NGINX_AUTO = "nginx, a worker per core"
_NOTES = (
    "Seconds: from the first connect to the last byte, taken by the load generator.",
    "The verdict is against nginx with one worker, because our server is one process.",
)


def run(bench: Bench) -> Outcome:
    """Let 1,000 clients read one file: from our one process, from nginx with one worker, and with one per core."""
    size, clients = 10 * MIB, bench.sized(1000, quick=100)
    with (
        staging_server(bench.folder) as ours,
        running_nginx(bench.folder / "nginx", access_log=False) as nginx,
        running_nginx(bench.folder / "nginx-auto", access_log=False, workers="auto") as nginx_auto,
    ):
        file = random_file(nginx.root / "some.jar", size=size)
        (nginx_auto.root / file.name).hardlink_to(file)
        targets: dict[str, tuple[int, Request]] = {
            OURS: (ours.pid, ours.file_request(ours.stage([file]), file)),
            "nginx": (nginx.pid, (f"{nginx.url}/{file.name}", {})),
            NGINX_AUTO: (nginx_auto.pid, (f"{nginx_auto.url}/{file.name}", {})),
        }
        sides = [
            Side(name, partial(get_many, pid, requests=[request], repeat=clients, clients=clients, size=size))
            for name, (pid, request) in targets.items()
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    figures = speed(samples, against=NGINX_AUTO)
    return _outcome(f"GET {size // MIB} MiB by {clients} clients at once", samples, size * clients, **figures)


def run_own(bench: Bench) -> Outcome:
    """Let 64 clients read a file of 16 MiB each."""
    size, clients = bench.sized(16 * MIB, quick=MIB), 64
    with staging_server(bench.folder) as ours, running_nginx(bench.folder / "nginx", access_log=False) as nginx:
        files = random_files(nginx.root, count=clients, size=size, suffix=".jar")
        bundle = ours.stage(files)
        from_us = [ours.file_request(bundle, file) for file in files]
        from_nginx: list[Request] = [(f"{nginx.url}/{file.name}", {}) for file in files]
        sides = [
            Side(OURS, partial(get_many, ours.pid, requests=from_us, clients=clients, size=size)),
            Side("nginx", partial(get_many, nginx.pid, requests=from_nginx, clients=clients, size=size)),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return _outcome(f"GET by {clients} clients at once, each its own {size // MIB} MiB", samples, size * clients)


def _outcome(title: str, samples: Samples, size: int, **figures: float) -> Outcome:
    found = {**speed(samples, against="nginx"), **figures, "errors": errors(samples[OURS])}
    return Outcome(title=title, size=size, samples=samples, figures=found, notes=_NOTES)
