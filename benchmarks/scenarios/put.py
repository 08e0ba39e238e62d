"""PUT of one large file: ours verifies the digest and makes it durable, nginx (WebDAV) only writes it.

A second peer is nginx with an fsync of the file after the answer, which is what our answer promises.
"""

from pathlib import Path

from benchmarks import curl
from benchmarks.data import random_file, renew, settle
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.processes import measure
from benchmarks.scenario import GIB, MIB, Bench, Outcome
from benchmarks.staging import FORGET, NAMESPACE, StagingServer, describe, staging_server
from tests.services.nginx import Nginx, running_nginx

NGINX_FSYNC = "nginx, then fsync"
# nginx at its best: of 16k (its default), 128k, 1m and 8m, 128k took the shortest time.
DAV = "location / { dav_methods PUT; client_body_buffer_size 128k; }"


def run(bench: Bench) -> Outcome:
    """Upload a file that is new to both servers in every run."""
    size = bench.sized(GIB, quick=64 * MIB)
    with (
        staging_server(bench.folder, settings=FORGET) as ours,
        running_nginx(bench.folder / "nginx", locations=DAV, access_log=False) as nginx,
    ):
        file = random_file(bench.folder / "large.jar", size=size)
        sides = [
            Side(OURS, lambda: to_us(ours, file=file)),
            Side("nginx", lambda: _to_nginx(nginx, file=file, fsync=False)),
            Side(NGINX_FSYNC, lambda: _to_nginx(nginx, file=file, fsync=True)),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title=f"PUT {size // MIB} MiB, one client (curl)",
        size=size,
        samples=samples,
        figures={**speed(samples, against="nginx"), **speed(samples, against=NGINX_FSYNC)},
        notes=(
            "Ours answers after the digest was verified and file and folder are fsynced; nginx does neither.",
            f"'{NGINX_FSYNC}' adds the fsync of the file. All write to the same disk; dirty pages are written before.",
        ),
    )


def to_us(server: StagingServer, *, file: Path) -> Sample:
    """Upload other bytes of the same size, and end their bundle."""
    server.forget()
    renew(file)
    new = describe(file)
    bundle = server.want([new])
    command = curl.put(server.blob_url(new.digest), file=file, headers={}, settings=file.with_suffix(".ours"))
    settle()
    sample = Sample.of(measure(command, server=server.pid))
    server.client.delete(NAMESPACE, bundle.id)
    return sample


def _to_nginx(server: Nginx, *, file: Path, fsync: bool) -> Sample:
    renew(file)
    written = server.root / "large.jar"
    written.unlink(missing_ok=True)
    command = curl.put(f"{server.url}/{written.name}", file=file, headers={}, settings=file.with_suffix(".nginx"))
    settle()
    if fsync:
        command = ["/bin/sh", "-c", 'sync_file=$1; shift; "$@" && sync "$sync_file"', "sh", str(written), *command]
    return Sample.of(measure(command, server=server.pid))
