"""Where more workers gain: distinct small files, manifests, and GET over TLS, with one, two and three processes.

The peer is our own server with one worker.  On a machine with two cores the load generator has one of them.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import curl
from benchmarks.certificates import Certificates, make_certificates
from benchmarks.data import random_files
from benchmarks.many import get_many
from benchmarks.measure import OURS, Sample, Side, alternate, seconds
from benchmarks.processes import measure
from benchmarks.scenario import GIB, KIB, MIB, Bench, Outcome
from benchmarks.staging import StagingServer, staging_server

_WORKERS = (1, 2, 3)
_CONNECTIONS = 64
_TLS_CLIENTS = 8

_Once = Callable[[], Sample]


def run_files(bench: Bench) -> Outcome:
    """Read distinct files of 100 KiB over kept connections."""
    count, size = bench.sized(2000, quick=200), 100 * KIB

    def prepare(server: StagingServer) -> _Once:
        files = random_files(bench.folder / "files", count=count, size=size, suffix=".jar")
        bundle = server.stage(files)
        requests = [server.file_request(bundle, file) for file in files]
        return partial(get_many, server.pid, requests=requests, clients=_CONNECTIONS, size=size, kept=True)

    title = f"GET of {count} files of 100 KiB, {_CONNECTIONS} kept connections"
    return _run(bench, title=title, size=count * size, prepare=prepare)


def run_manifests(bench: Bench) -> Outcome:
    """Read manifests, of many bundles in turn."""
    requests, bundles = bench.sized(6000, quick=1000), 20

    def prepare(server: StagingServer) -> _Once:
        files = random_files(bench.folder / "files", count=3, size=KIB, suffix=".jar")
        asked = [server.manifest_request(server.stage(files)) for _ in range(bundles)]
        return partial(
            get_many, server.pid, requests=asked, clients=_CONNECTIONS, size=None, repeat=requests // bundles, kept=True
        )

    title = f"{requests} GET of manifests of {bundles} bundles, {_CONNECTIONS} kept connections"
    return _run(bench, title=title, size=0, prepare=prepare)


def run_tls(bench: Bench) -> Outcome:
    """Read over TLS, eight clients at once."""
    size = bench.sized(GIB, quick=64 * MIB)
    certificates = make_certificates(bench.folder / "tls")

    def prepare(server: StagingServer) -> _Once:
        files = random_files(bench.folder / "files", count=_TLS_CLIENTS, size=size // _TLS_CLIENTS, suffix=".jar")
        bundle = server.stage(files)
        targets = [(server.file_request(bundle, file)[0], "/dev/null") for file in files]
        _, headers = server.file_request(bundle, files[0])
        command = curl.get_all(
            targets, headers=headers, settings=bench.folder / f"curl-{server.pid}", ca=certificates.ca
        )
        return lambda: Sample.of(measure(command, server=server.pid))

    title = f"GET {size // MIB} MiB over TLS, {_TLS_CLIENTS} clients at once (curl)"
    return _run(bench, title=title, size=size, prepare=prepare, tls=certificates)


def _run(
    bench: Bench,
    *,
    title: str,
    size: int,
    prepare: Callable[[StagingServer], _Once],
    tls: Certificates | None = None,
) -> Outcome:
    """Measure the same reads from a server of each number of workers; the first is the one to compare with."""
    with ExitStack() as stack:
        sides = []
        for number in _WORKERS:
            folder = bench.folder / f"workers-{number}"
            server = stack.enter_context(staging_server(folder, settings={"WORKERS": str(number)}, tls=tls))
            sides.append(Side(_name(number), prepare(server)))
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    one, *more = (samples[_name(number)] for number in _WORKERS)
    return Outcome(
        title=f"{title}, by workers",
        size=size,
        samples=samples,
        figures={
            f"gain of {number} workers": seconds(one) / seconds(found)
            for number, found in zip(_WORKERS[1:], more, strict=True)
        },
        notes=(
            "All sides are our server. A gain is the seconds of one worker by those of more.",
            "The client needs a core, too: with two cores in all, hardly more than one is left to share.",
        ),
    )


def _name(number: int) -> str:
    return OURS if number == 1 else f"{OURS}, {number} workers"
