"""Resolving a bundle into a folder: the init container's command against `curl --parallel`.

curl reads the same files from our server with the same token, and from nginx.  It neither verifies nor hides what is
not whole.  All write to the same disk, into a new folder each time.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import curl
from benchmarks.data import random_files, settle
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.places import Places
from benchmarks.pod import Pod
from benchmarks.processes import measure
from benchmarks.scenario import GIB, KIB, MIB, Bench, Outcome
from benchmarks.staging import Bundle, StagingServer, staging_server
from tests.services.nginx import Nginx, running_nginx

CURL = "curl"
NGINX = "curl from nginx"


def run_large(bench: Bench) -> Outcome:
    """Resolve one large file."""
    return _run(bench, count=1, size=bench.sized(GIB, quick=64 * MIB))


def run_small(bench: Bench) -> Outcome:
    """Resolve many small files."""
    return _run(bench, count=bench.sized(2000, quick=200), size=100 * KIB)


def _run(bench: Bench, *, count: int, size: int) -> Outcome:
    with staging_server(bench.folder) as ours, running_nginx(bench.folder / "nginx", access_log=False) as nginx:
        paths = random_files(nginx.root, count=count, size=size, suffix=".jar")
        bundle, places = ours.stage(paths), Places(bench.folder / "into", count=count)
        from_us = _curl_from_us(ours, bundle=bundle, paths=paths, settings=bench.folder / "ours.curl")
        from_nginx = _curl_from_nginx(nginx, paths=paths, settings=bench.folder / "nginx.curl")
        sides = [
            Side(OURS, lambda: _by_us(ours, bundle=bundle, places=places)),
            Side(CURL, lambda: _by_curl(from_us, places=places, server=ours.pid)),
            Side(NGINX, lambda: _by_curl(from_nginx, places=places, server=nginx.pid)),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title=f"Resolve {count} files of {size // KIB} KiB" if count > 1 else f"Resolve one file of {size // MIB} MiB",
        size=count * size,
        samples=samples,
        figures={**speed(samples, against=CURL), **speed(samples, against=NGINX)},
        notes=(
            "Ours is the init container: start of the process, manifest, digests and report are included.",
            "curl --parallel verifies nothing; 'curl' reads from our server with the same token.",
        ),
    )


def _curl_from_us(server: StagingServer, *, bundle: Bundle, paths: Sequence[Path], settings: Path) -> list[str]:
    requests = [server.file_request(bundle, path) for path in paths]
    targets = [(url, path.name) for (url, _), path in zip(requests, paths, strict=True)]
    return curl.get_all(targets, headers=requests[0][1], settings=settings)


def _curl_from_nginx(server: Nginx, *, paths: Sequence[Path], settings: Path) -> list[str]:
    return curl.get_all([(f"{server.url}/{path.name}", path.name) for path in paths], headers={}, settings=settings)


def _by_us(server: StagingServer, *, bundle: Bundle, places: Places) -> Sample:
    place = places.next()
    pod = Pod(server, bundle=bundle, root=place)
    settle()
    measured = measure(pod.command, server=server.pid, environment=pod.environment)
    places.check(place)
    return Sample.of(measured)


def _by_curl(command: Sequence[str], *, places: Places, server: int) -> Sample:
    place = places.next()
    settle()
    measured = measure(command, server=server, folder=place)
    places.check(place)
    return Sample.of(measured)
