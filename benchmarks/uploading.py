"""Measuring a server while it takes uploads from the generator `clients/upload.py`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.clients import upload
from benchmarks.data import Stamped
from benchmarks.measure import Sample
from benchmarks.processes import RunFailed, measure

Part = Mapping[str, str | int | bool]
"""One request of an upload, as the generator reads it."""


def part(
    method: str, url: str | None, *, headers: Mapping[str, str], file: Path, start: int = 0, count: int,
    tail: bytes = b"", host: str = "", follow: bool = False,
) -> Part:  # fmt: skip
    """Return a request with `count` bytes of `file` and `tail` as its body.

    Without `url` it goes to the path that an earlier answer named, on `host`; with `follow` this one's answer does.
    """
    parts = urlsplit(url or "")
    fields = {"Host": parts.netloc or host, "Content-Length": str(count + len(tail)), **headers}
    lines = [f"{method} {parts.path or '{path}'} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return {
        "head": "\r\n".join([*lines, "", ""]), "file": str(file), "start": start, "count": count,
        "tail": tail.hex(), "follow": follow,
    }  # fmt: skip


def put_stamped(url: str, *, contents: Stamped, stamp: bytes) -> Part:
    """Return the PUT of the content that ends with `stamp`."""
    headers = {"Content-Type": "application/octet-stream"}
    return part("PUT", url, headers=headers, file=contents.path, count=contents.size - len(stamp), tail=stamp)


def upload_all(server: int, *, url: str, uploads: Sequence[Sequence[Part]], fsync: Sequence[Path] = ()) -> Sample:
    """Do all uploads at once; the seconds are the generator's, with the flush of `fsync` at the end.

    Raises:
        RunFailed: one did not succeed.
    """
    parts = urlsplit(url)
    task = {
        "host": parts.hostname, "port": parts.port, "uploads": [list(one) for one in uploads],
        "fsync": [str(path) for path in fsync],
    }  # fmt: skip
    program = [sys.executable, "-I", str(Path(upload.__file__))]
    measured = measure(program, server=server, stdin=json.dumps(task).encode())
    result = json.loads(measured.output)
    if result["errors"]:
        msg = f"{result['errors']} of {len(uploads)} uploads failed; the last: {result['said']}"
        raise RunFailed(msg)
    return Sample.of(measured, seconds=result["seconds"], counts={"waits": result["waits"]})
