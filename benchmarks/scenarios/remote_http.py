"""Dependencies on a web server: the init container against curl and aria2, and KServe's storage initializer.

`http-limited` is a server that gives each connection so many bytes a second, as many object stores and mirrors do: who
opens more connections is faster.
"""

import dataclasses

from benchmarks import curl
from benchmarks.data import random_files
from benchmarks.peers.environments import KSERVE, aria2, environment
from benchmarks.remote import ON_LOOPBACK, SUFFIX, Peer, Shelf, compare, described, program
from benchmarks.scenario import GIB, KIB, MIB, Bench, Outcome
from staging_protocol.sources import SourceSettings
from tests.services.nginx import Nginx, running_nginx

_RATE_MIB = 20
"""MiB a second of each connection."""


def run_large(bench: Bench) -> Outcome:
    """Download one large file."""
    return _run(bench, count=1, size=bench.sized(GIB, quick=64 * MIB), kserve=True)


def run_small(bench: Bench) -> Outcome:
    """Download many small files."""
    return _run(bench, count=bench.sized(10_000, quick=500), size=10 * KIB)


def run_sparse(bench: Bench) -> Outcome:
    """Download a file of 10 GiB, once: its memory is what counts."""
    size = bench.sized(10 * GIB, quick=GIB)
    with running_nginx(bench.folder / "nginx", access_log=False, workers="2") as nginx:
        name = f"sparse{SUFFIX}"
        with (nginx.root / name).open("wb") as file:
            file.truncate(size)
        return compare(
            dataclasses.replace(bench, runs=1), _shelf(nginx, [name], size=size), [_curl(bench, nginx, [name])]
        )


def run_limited(bench: Bench) -> Outcome:
    """Download one large file from a server that is slow for each connection."""
    locations = f"location / {{ limit_rate {_RATE_MIB}m; }}"
    outcome = _run(bench, count=1, size=bench.sized(GIB, quick=128 * MIB), locations=locations)
    return dataclasses.replace(outcome, title=f"{outcome.title}, {_RATE_MIB} MiB/s for each connection")


def _run(bench: Bench, *, count: int, size: int, locations: str = "location / { }", kserve: bool = False) -> Outcome:
    with running_nginx(bench.folder / "nginx", locations=locations, access_log=False, workers="2") as nginx:
        names = [path.name for path in random_files(nginx.root, count=count, size=size, suffix=SUFFIX)]
        shelf = _shelf(nginx, names, size=size)
        peers = [_curl(bench, nginx, names), _aria2(nginx, names)]
        return compare(bench, shelf, [*peers, *([_kserve(shelf)] if kserve else [])])


def _shelf(nginx: Nginx, names: list[str], *, size: int) -> Shelf:
    return Shelf(
        title=f"HTTP, {described(len(names), size)}", pid=nginx.pid, size=size,
        uris=[f"{nginx.url}/{name}" for name in names], sources=SourceSettings(egress=ON_LOOPBACK),
    )  # fmt: skip


def _curl(bench: Bench, nginx: Nginx, names: list[str]) -> Peer:
    targets = [(f"{nginx.url}/{name}", name) for name in names]
    return Peer(name="curl", command=curl.get_all(targets, headers={}, settings=bench.folder / "curl"))


def _aria2(nginx: Nginx, names: list[str]) -> Peer:
    path, variables = aria2()
    connections = ("-x16", "-s16", "-k1M") if len(names) == 1 else ("-j16", "-x1")
    command = [path, "--no-conf", "--quiet", "--file-allocation=none", *connections, "--input-file=-", "--dir={into}"]
    lines = "".join(f"{nginx.url}/{name}\n" for name in names)
    return Peer(name="aria2", command=command, stdin=lines, environment=variables)


def _kserve(shelf: Shelf) -> Peer:
    return Peer(name="kserve", command=program(environment(KSERVE), "kserve"), task={"uris": list(shelf.uris)})
