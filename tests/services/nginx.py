"""A real nginx on loopback: the one of this machine, or Debian's package unpacked into the user's cache folder.

The caller gives the `location` blocks; everything nginx writes stays in the caller's folder.
"""

import os
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Final

from tests.services.debian import CACHE, PackageMissing, unpacked

_UNPACKED: Final = CACHE / "nginx"
_PROGRAM: Final = "usr/sbin/nginx"
_PACKAGES: Final = ("nginx", "nginx-common")
_STARTED_WITHIN: Final = 20.0
"""Seconds; nginx itself needs 50 ms, a busy machine more."""
_STOPPED_WITHIN: Final = 10.0
_LOGGED_WITHIN: Final = 20.0

_CONFIGURATION: Final = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes {workers};
worker_rlimit_nofile 8192;
{user}
events {{ worker_connections 4096; }}
http {{
  default_type application/octet-stream;
  access_log {access_log};
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 65;
  keepalive_requests 100000;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} {listen} backlog=4096;
    {tls}
    root {root};
    {locations}
  }}
  {more}
}}
"""


class NginxMissing(Exception):
    """nginx is not on this machine and could not be fetched; the message says why."""


@dataclass(frozen=True, slots=True)
class NginxTls:
    """PEM files of a certificate for 127.0.0.1, with its chain, and of its key; TLS 1.3 only."""

    certificate: Path
    key: Path

    @property
    def directives(self) -> str:
        """What stands inside the `server` block."""
        return f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key}; ssl_protocols TLSv1.3;"


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx; `root` is the folder that it serves, `pid` that of the master process."""

    pid: int
    port: int
    root: Path
    access_log: Path
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Where the root of the server is."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def logged(self) -> str:
        """Return the access log with a line for each request that was answered before; of one worker only.

        A line is written after its answer was sent.  So one more request is made, and its line waited for.
        """
        mark = f"/mark-{uuid.uuid4().hex}"
        with closing(self._connection()) as connection:
            connection.request("HEAD", mark)
            connection.getresponse().read()
        deadline = time.monotonic() + _LOGGED_WITHIN
        while mark not in (text := self.access_log.read_text()):
            if time.monotonic() > deadline:
                raise AssertionError(text)
            time.sleep(0.01)
        return "".join(line for line in text.splitlines(keepends=True) if "/mark-" not in line)

    def _connection(self) -> HTTPConnection:
        if self.scheme == "http":
            return HTTPConnection("127.0.0.1", self.port, timeout=_LOGGED_WITHIN)
        unchecked = ssl._create_unverified_context()  # noqa: S323 - only its log is asked for
        return HTTPSConnection("127.0.0.1", self.port, timeout=_LOGGED_WITHIN, context=unchecked)


def find_nginx() -> Path | None:
    """Return the program, or None when it is neither installed nor unpacked in the cache folder."""
    installed = shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/sbin:" + os.defpath) or shutil.which("nginx")
    for candidate in (installed, _UNPACKED / _PROGRAM):
        if candidate is not None and Path(candidate).is_file():
            return Path(candidate)
    return None


def fetch_nginx() -> Path:
    """Return the program, fetching and unpacking Debian's packages when there is none.

    Raises:
        NginxMissing: this is no Debian, or its package sources cannot be reached.
    """
    found = find_nginx()
    if found is not None:
        return found
    try:
        return unpacked(*_PACKAGES, into=_UNPACKED, program=_PROGRAM) / _PROGRAM
    except PackageMissing as error:
        raise NginxMissing(str(error)) from error


@contextmanager
def running_nginx(
    folder: Path,
    *,
    locations: str = "location / { }",
    more: str = "",
    workers: str = "1",
    access_log: bool = True,
    tls: NginxTls | None = None,
) -> Iterator[Nginx]:
    """Run nginx over `folder/www` on a free port until the block ends.

    `locations` stands inside the `server` block, `more` behind it inside `http`.

    Raises:
        NginxMissing: see `fetch_nginx`, or it did not start; the message has its words.
    """
    program, port, root = fetch_nginx(), _free_port(), folder / "www"
    root.mkdir(parents=True, exist_ok=True)
    log = folder / "access.log"
    configuration = _CONFIGURATION.format(
        folder=folder, port=port, root=root, workers=workers, locations=locations, more=more,
        access_log=log if access_log else "off", listen="ssl" if tls else "", tls=tls.directives if tls else "",
        # Started by root, workers would be an account that may not read the caller's folder.
        user="user root;" if os.geteuid() == 0 else "",
    )  # fmt: skip
    (folder / "nginx.conf").write_text(configuration)
    command = [str(program), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(process, port=port, errors=folder / "error.log")
        yield Nginx(
            pid=process.pid, port=port, root=root, access_log=log, scheme="https" if tls else "http"
        )  # fmt: skip
    finally:
        process.terminate()
        process.wait(_STOPPED_WITHIN)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], *, port: int, errors: Path) -> None:
    deadline = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    said = errors.read_text()[-400:] if errors.exists() else "nothing"
    msg = f"nginx does not start; it says: {said}"
    raise NginxMissing(msg)
