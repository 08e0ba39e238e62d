"""GET and PUT over TLS, by one client and by eight: curl with one version, cipher and certificate for both servers.

The eight are one curl process with eight connections: with a core for each client there would be none for a server.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import curl
from benchmarks.certificates import Certificates, make_certificates
from benchmarks.data import random_files, renew, settle
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.processes import measure
from benchmarks.scenario import GIB, MIB, Bench, Outcome
from benchmarks.scenarios.put import DAV
from benchmarks.staging import FORGET, NAMESPACE, StagingServer, describe, staging_server
from tests.services.nginx import Nginx, NginxTls, running_nginx

_CLIENTS = 8
_NOTES = (
    "TLS 1.3, TLS_AES_256_GCM_SHA384, EC P-256, one worker of nginx; the client decrypts on one core.",
    "OpenSSL does the work on both sides; what differs is the copying around it.",
)


def run_get(bench: Bench) -> Outcome:
    """Read one large file."""
    return _get(bench, clients=1)


def run_get_many(bench: Bench) -> Outcome:
    """Read eight files at once."""
    return _get(bench, clients=_CLIENTS)


def run_put(bench: Bench) -> Outcome:
    """Upload one large file."""
    return _put(bench, clients=1)


def run_put_many(bench: Bench) -> Outcome:
    """Upload eight files at once."""
    return _put(bench, clients=_CLIENTS)


def _get(bench: Bench, *, clients: int) -> Outcome:
    size, certificates = _size(bench), make_certificates(bench.folder / "tls")
    with (
        staging_server(bench.folder, tls=certificates) as ours,
        running_nginx(bench.folder / "nginx", access_log=False, tls=_of(certificates)) as nginx,
    ):
        files = random_files(nginx.root, count=clients, size=size // clients, suffix=".jar")
        bundle = ours.stage(files)
        requests = [ours.file_request(bundle, file) for file in files]
        from_us = curl.get_all(
            [(url, "/dev/null") for url, _ in requests], headers=requests[0][1],
            settings=bench.folder / "ours.curl", ca=certificates.ca,
        )  # fmt: skip
        from_nginx = curl.get_all(
            [(f"{nginx.url}/{file.name}", "/dev/null") for file in files], headers={},
            settings=bench.folder / "nginx.curl", ca=certificates.ca,
        )  # fmt: skip
        sides = [
            Side(OURS, lambda: Sample.of(measure(from_us, server=ours.pid))),
            Side("nginx", lambda: Sample.of(measure(from_nginx, server=nginx.pid))),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title=_title("GET", size=size, clients=clients), size=size, samples=samples,
        figures=speed(samples, against="nginx"), notes=_NOTES,
    )  # fmt: skip


def _put(bench: Bench, *, clients: int) -> Outcome:
    size, certificates = _size(bench), make_certificates(bench.folder / "tls")
    with (
        staging_server(bench.folder, settings=FORGET, tls=certificates) as ours,
        running_nginx(bench.folder / "nginx", locations=DAV, access_log=False, tls=_of(certificates)) as nginx,
    ):
        files = random_files(bench.folder / "files", count=clients, size=size // clients, suffix=".jar")
        sides = [
            Side(OURS, lambda: to_us(ours, files=files, ca=certificates.ca)),
            Side("nginx", lambda: _to_nginx(nginx, files=files, ca=certificates.ca)),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title=_title("PUT", size=size, clients=clients), size=size, samples=samples,
        figures=speed(samples, against="nginx"),
        notes=(*_NOTES, "Ours verifies the digest and makes the file durable; nginx does neither."),
    )  # fmt: skip


def to_us(server: StagingServer, *, files: Sequence[Path], ca: Path) -> Sample:
    """Upload other bytes of the same size, and end their bundle."""
    server.forget()
    for file in files:
        renew(file)
    new = [describe(file) for file in files]
    bundle = server.want(new)
    targets = [(file, server.blob_url(one.digest)) for file, one in zip(files, new, strict=True)]
    command = curl.put_all(targets, headers={}, settings=files[0].with_suffix(".ours"), ca=ca)
    settle()
    sample = Sample.of(measure(command, server=server.pid))
    server.client.seal(NAMESPACE, bundle.id)
    server.client.delete(NAMESPACE, bundle.id)
    return sample


def _to_nginx(server: Nginx, *, files: Sequence[Path], ca: Path) -> Sample:
    for file in files:
        renew(file)
        (server.root / file.name).unlink(missing_ok=True)
    targets = [(file, f"{server.url}/{file.name}") for file in files]
    command = curl.put_all(targets, headers={}, settings=files[0].with_suffix(".nginx"), ca=ca)
    settle()
    return Sample.of(measure(command, server=server.pid))


def _size(bench: Bench) -> int:
    return bench.sized(GIB, quick=64 * MIB)


def _of(certificates: Certificates) -> NginxTls:
    return NginxTls(certificate=certificates.certificate, key=certificates.key)


def _title(method: str, *, size: int, clients: int) -> str:
    who = "one client" if clients == 1 else f"{clients} clients at once"
    return f"{method} {size // MIB} MiB over TLS, {who} (curl)"
