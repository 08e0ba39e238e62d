"""PUT of 64 different files of 16 MiB at once, wanted by open bundles of four namespaces.

Four namespaces, because one may not take all places for uploads of a server.
"""

from benchmarks.data import Stamped, settle
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.scenario import MIB, Bench, Outcome
from benchmarks.scenarios.put import DAV, NGINX_FSYNC
from benchmarks.staging import FORGET, NAMESPACE, StagingServer, jar, staging_server
from benchmarks.uploading import put_stamped, upload_all
from tests.services.nginx import Nginx, running_nginx

_CLIENTS = 64
_NAMESPACES = 4


def run(bench: Bench) -> Outcome:
    """Upload contents that are new to both servers in every run."""
    size = bench.sized(16 * MIB, quick=MIB)
    with (
        staging_server(bench.folder, settings=FORGET) as ours,
        running_nginx(bench.folder / "nginx", locations=DAV, access_log=False) as nginx,
    ):
        contents = Stamped(bench.folder / "common", size=size)
        sides = [
            Side(OURS, lambda: _to_us(ours, contents=contents)),
            Side("nginx", lambda: _to_nginx(nginx, contents=contents, fsync=False)),
            Side(NGINX_FSYNC, lambda: _to_nginx(nginx, contents=contents, fsync=True)),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    waits = max(sample.counts["waits"] for sample in samples[OURS])
    return Outcome(
        title=f"PUT by {_CLIENTS} clients at once, each its own {size // MIB} MiB",
        size=size * _CLIENTS,
        samples=samples,
        figures={
            **speed(samples, against="nginx"), **speed(samples, against=NGINX_FSYNC), "asked to come again": waits
        },
        notes=(
            "Seconds: from the first connect to the last answer, taken by the load generator.",
            "Ours verifies and makes durable each of the files; nginx does neither, or one fsync each at the end.",
        ),
    )  # fmt: skip


def _to_us(server: StagingServer, *, contents: Stamped) -> Sample:
    server.forget()
    uploads, bundles = [], []
    for number in range(_NAMESPACES):
        namespace = f"{NAMESPACE}-{number}"
        new = [contents.new() for _ in range(_CLIENTS // _NAMESPACES)]
        files = [jar(f"{place}.jar", size=contents.size, digest=digest) for place, (_, digest) in enumerate(new)]
        bundles.append((namespace, server.want(files, namespace=namespace)))
        uploads += [
            [put_stamped(server.blob_url(digest, namespace=namespace), contents=contents, stamp=stamp)]
            for stamp, digest in new
        ]
    settle()
    sample = upload_all(server.pid, url=server.url, uploads=uploads)
    for namespace, bundle in bundles:
        server.client.seal(namespace, bundle.id)
        server.client.delete(namespace, bundle.id)
    return sample


def _to_nginx(server: Nginx, *, contents: Stamped, fsync: bool) -> Sample:
    files = [server.root / f"{number}.jar" for number in range(_CLIENTS)]
    for file in files:
        file.unlink(missing_ok=True)
    uploads = [[put_stamped(f"{server.url}/{file.name}", contents=contents, stamp=contents.new()[0])] for file in files]
    settle()
    return upload_all(server.pid, url=server.url, uploads=uploads, fsync=files if fsync else [])
