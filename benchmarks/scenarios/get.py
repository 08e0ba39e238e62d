"""GET of one large file by one client: curl to /dev/null, from our server and from nginx."""

from benchmarks import curl
from benchmarks.data import random_file
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.processes import measure
from benchmarks.scenario import GIB, MIB, Bench, Outcome
from benchmarks.staging import staging_server
from tests.services.nginx import running_nginx


def run(bench: Bench) -> Outcome:
    """Measure both servers over their own copy of the same bytes, warm in the page cache."""
    size = bench.sized(GIB, quick=64 * MIB)
    with staging_server(bench.folder) as ours, running_nginx(bench.folder / "nginx", access_log=False) as nginx:
        file = random_file(nginx.root / "large.jar", size=size)
        url, headers = ours.file_request(ours.stage([file]), file)
        from_us = curl.get(url, headers=headers, settings=bench.folder / "ours.curl")
        from_nginx = curl.get(f"{nginx.url}/{file.name}", headers={}, settings=bench.folder / "nginx.curl")
        sides = [
            Side(OURS, lambda: Sample.of(measure(from_us, server=ours.pid))),
            Side("nginx", lambda: Sample.of(measure(from_nginx, server=nginx.pid))),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title=f"GET {size // MIB} MiB, one client (curl)",
        size=size,
        samples=samples,
        figures=speed(samples, against="nginx"),
        notes=("nginx: sendfile, one worker; ours checks the bundle's token, nginx checks nothing.",),
    )
