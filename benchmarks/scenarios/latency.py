"""Latency of small requests, alone and while the server works: 32 readers of 16 MiB in a loop, and 8 uploaders.

The peer is nginx with one worker under the same reads and uploads; of its requests only the file of 10 KiB compares.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.background import traffic
from benchmarks.data import Stamped, random_file
from benchmarks.many import request_text
from benchmarks.measure import OURS, Sample, Side, alternate
from benchmarks.open_loop import Asked
from benchmarks.scenario import KIB, MIB, Bench, Outcome
from benchmarks.scenarios.put import DAV
from benchmarks.staging import FORGET, NAMESPACE, Bundle, StagingServer, describe, jar, staging_server
from benchmarks.uploading import Part, put_stamped
from staging_protocol.api.creation import NewBundle
from staging_protocol.wire import encode
from tests.services.nginx import Nginx, running_nginx

_READERS = 32
_UPLOADERS = 8
_UPLOADS = 60
"""Uploads of each uploader that are prepared; a run of five seconds does not come to their end."""

_SIZE = 16 * MIB
_RATE = 50
"""Requests a second of each kind: enough for a 99th percentile, and a fifth of a core for us."""

_FILE = "file of 10 KiB"
_NO_LOAD = "no load"


def run(bench: Bench) -> Outcome:
    """Measure both servers under load and alone."""
    seconds = bench.sized(5, quick=1)
    with (
        staging_server(bench.folder, settings=FORGET) as ours,
        running_nginx(bench.folder / "nginx", locations=DAV, access_log=False) as nginx,
    ):
        asked = _prepare(ours, nginx, folder=bench.folder)
        contents = Stamped(bench.folder / "common", size=_SIZE)
        large = nginx.root / "large.jar"
        read_ours = [ours.file_request(ours.stage([large]), large)] * _READERS

        def ours_under_load() -> Sample:
            with _wanted(ours, contents=contents) as uploads, traffic(ours.url, reads=read_ours, uploads=uploads):
                return asked[OURS].once(seconds=seconds)

        def nginx_under_load() -> Sample:
            reads = [(f"{nginx.url}/{large.name}", dict[str, str]())] * _READERS
            with traffic(nginx.url, reads=reads, uploads=_to_nginx(nginx, contents=contents)):
                return asked["nginx"].once(seconds=seconds)

        sides = [Side(OURS, ours_under_load), Side("nginx", nginx_under_load)]
        sides += [Side(name, partial(asked[name].once, seconds=seconds)) for name in asked if _NO_LOAD in name]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    figures = {name: value for side, one in asked.items() for name, value in one.figures(side).items()}
    ratio = figures[f"{OURS}: {_FILE}, p99 ms"] / figures[f"nginx: {_FILE}, p99 ms"]
    return Outcome(
        title=f"Small requests beside {_READERS} readers of 16 MiB in a loop and {_UPLOADERS} uploaders",
        size=0,
        samples=samples,
        figures={**figures, f"p99 of a {_FILE} under load, by nginx's": ratio},
        notes=(
            f"Open loop, {_RATE} a second of each kind at fixed times; latency counts from when a request was due.",
            "Seconds: 99th percentile of all kinds. Others' cores: the load. Figures are of all runs together.",
        ),
    )


def _prepare(ours: StagingServer, nginx: Nginx, *, folder: Path) -> dict[str, Asked]:
    """Return who is asked what, by side."""
    random_file(nginx.root / "large.jar", size=_SIZE)
    small = random_file(nginx.root / "small.jar", size=10 * KIB)
    held = [random_file(folder / "held" / f"{number}.jar", size=KIB) for number in range(3)]
    bundle = ours.stage([small])
    ours.stage(held)
    url, headers = ours.manifest_request(bundle)
    from_us = {
        "livez": request_text(f"{ours.url}/livez", headers={}, kept=True),
        "manifest": request_text(url, headers=headers, kept=True),
        _FILE: _read(ours, bundle=bundle, path=small),
        "create of 3 held files": _create(ours, held),
    }
    from_nginx = {_FILE: request_text(f"{nginx.url}/{small.name}", headers={}, kept=True)}
    sides = {OURS: (ours.pid, ours.url, from_us), "nginx": (nginx.pid, nginx.url, from_nginx)}
    return {
        name + suffix: Asked(pid=pid, url=url, kinds=kinds, rate=_RATE)
        for suffix in ("", f", {_NO_LOAD}")
        for name, (pid, url, kinds) in sides.items()
    }


def _create(server: StagingServer, files: Sequence[Path]) -> str:
    body = encode(NewBundle(application="benchmark", files=tuple(describe(file) for file in files))).decode()
    lines = [
        f"POST /v1/namespaces/{NAMESPACE}/bundles HTTP/1.1", f"Host: {server.url.rpartition('/')[2]}",
        "Content-Type: application/json", f"Content-Length: {len(body)}", "Idempotency-Key: {key}",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", body])


def _read(server: StagingServer, *, bundle: Bundle, path: Path) -> str:
    url, headers = server.file_request(bundle, path)
    return request_text(url, headers=headers, kept=True)


@contextmanager
def _wanted(server: StagingServer, *, contents: Stamped) -> Iterator[list[list[Part]]]:
    """Create a bundle for each uploader, yield their uploads, and end the bundles."""
    server.forget()
    bundles, uploads = [], []
    for _ in range(_UPLOADERS):
        new = [contents.new() for _ in range(_UPLOADS)]
        bundles.append(
            server.want([jar(f"{number}.jar", size=_SIZE, digest=digest) for number, (_, digest) in enumerate(new)])
        )
        uploads.append([put_stamped(server.blob_url(digest), contents=contents, stamp=stamp) for stamp, digest in new])
    try:
        yield uploads
    finally:
        for bundle in bundles:
            server.client.delete(NAMESPACE, bundle.id)


def _to_nginx(server: Nginx, *, contents: Stamped) -> list[list[Part]]:
    """Return uploads over files of the run before, so that the disk does not fill."""
    return [
        [
            put_stamped(f"{server.url}/{uploader}-{number}.jar", contents=contents, stamp=contents.new()[0])
            for number in range(_UPLOADS)
        ]
        for uploader in range(_UPLOADERS)
    ]
