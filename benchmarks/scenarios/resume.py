"""A resumable upload against one PUT: 1 GiB in appends of 8 MiB, as the client sends it, by the same generator.

Each append is durable when it is answered, so that a lost connection costs at most one of them.
"""

from collections.abc import Callable
from functools import partial

from benchmarks.data import Stamped, settle
from benchmarks.measure import OURS, Sample, Side, alternate, speed
from benchmarks.scenario import GIB, MIB, Bench, Outcome
from benchmarks.staging import FORGET, NAMESPACE, StagingServer, jar, staging_server
from benchmarks.uploading import Part, part, put_stamped, upload_all
from staging_protocol import uploads
from staging_protocol.digests import Digest

ONE_PUT = "one PUT"
_APPEND = 8 * MIB

_Upload = Callable[[StagingServer, Stamped, bytes, Digest], list[Part]]


def run(bench: Bench) -> Outcome:
    """Upload contents that are new in every run."""
    size = bench.sized(GIB, quick=64 * MIB)
    with staging_server(bench.folder, settings=FORGET) as ours:
        contents = Stamped(bench.folder / "common", size=size)
        sides = [
            Side(OURS, partial(_once, ours, contents=contents, upload=_appends)),
            Side(ONE_PUT, partial(_once, ours, contents=contents, upload=_put)),
        ]
        samples = alternate(sides, runs=bench.runs, say=bench.say)
    return Outcome(
        title=f"Resumable upload of {size // MIB} MiB in appends of {_APPEND // MIB} MiB, against one PUT",
        size=size,
        samples=samples,
        figures=speed(samples, against=ONE_PUT),
        notes=(f"Both to our server, over one kept connection; {size // _APPEND} appends are durable one by one.",),
    )


def _once(server: StagingServer, *, contents: Stamped, upload: _Upload) -> Sample:
    server.forget()
    stamp, digest = contents.new()
    bundle = server.want([jar("large.jar", size=contents.size, digest=digest)])
    settle()
    sample = upload_all(server.pid, url=server.url, uploads=[upload(server, contents, stamp, digest)])
    server.client.seal(NAMESPACE, bundle.id)
    server.client.delete(NAMESPACE, bundle.id)
    return sample


def _put(server: StagingServer, contents: Stamped, stamp: bytes, digest: Digest) -> list[Part]:
    return [put_stamped(server.blob_url(digest), contents=contents, stamp=stamp)]


def _appends(server: StagingServer, contents: Stamped, stamp: bytes, digest: Digest) -> list[Part]:
    common = {"Content-Type": uploads.CONTENT_TYPE}
    begin = {
        **common, uploads.LENGTH: str(contents.size), uploads.COMPLETE: uploads.flag(False),
        uploads.DIGEST: digest.repr_digest,
    }  # fmt: skip
    url = f"{server.url}/v1/namespaces/{NAMESPACE}/uploads"
    host = server.url.rpartition("/")[2]
    requests = [part("POST", url, headers=begin, file=contents.path, count=0, follow=True)]
    for start in range(0, contents.size, _APPEND):
        last = start + _APPEND >= contents.size
        headers = {**common, uploads.OFFSET: str(start), uploads.COMPLETE: uploads.flag(last)}
        count = min(_APPEND, contents.size - start) - (len(stamp) if last else 0)
        tail = stamp if last else b""
        requests.append(
            part("PATCH", None, headers=headers, file=contents.path, start=start, count=count, tail=tail, host=host)
        )
    return requests
