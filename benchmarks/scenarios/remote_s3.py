"""Dependencies in S3: the init container against s5cmd, obstore, boto3 and curl, and KServe's storage initializer."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import curl
from benchmarks.data import random_files
from benchmarks.peers.environments import KSERVE, LIBRARIES, environment
from benchmarks.remote import ON_LOOPBACK, SUFFIX, Peer, Shelf, compare, described, program
from benchmarks.scenario import GIB, KIB, MIB, Bench, Outcome
from staging_protocol.sources import S3Sources, SourceSettings
from tests.services.seaweedfs import SeaweedFs, running_seaweedfs

_BUCKET = "dependencies"
_FOLDER = "job/"
_REGION = "us-east-1"
_PART = 8 * MIB
"""Bytes from which on boto3 uploads in parts."""
_UPLOADS = 8
_SIGNED_FOR = 3600
"""Seconds that curl's presigned URLs hold."""


def run_large(bench: Bench) -> Outcome:
    """Download one large file."""
    return _run(bench, count=1, size=bench.sized(GIB, quick=64 * MIB), kserve=True)


def run_medium(bench: Bench) -> Outcome:
    """Download files of a middle size."""
    return _run(bench, count=bench.sized(200, quick=20), size=5 * MIB, kserve=True)


def run_small(bench: Bench) -> Outcome:
    """Download many small files."""
    return _run(bench, count=bench.sized(10_000, quick=500), size=10 * KIB)


def _run(bench: Bench, *, count: int, size: int, kserve: bool = False) -> Outcome:
    with stored(bench, count=count, size=size) as (s3, names):
        shelf = shelf_of(s3, names, size=size)
        peers = [_s5cmd(s3, names), _obstore(s3, names), _boto3(s3, names), _curl(bench, s3, names)]
        return compare(bench, shelf, [*peers, *([_kserve(s3, names)] if kserve else [])])


@contextmanager
def stored(bench: Bench, *, count: int, size: int) -> Iterator[tuple[SeaweedFs, list[str]]]:
    """Run a store with random files in it; give it and their names."""
    with running_seaweedfs(bench.folder / "s3") as s3:
        s3.client.create_bucket(Bucket=_BUCKET)
        files = random_files(bench.folder / "seeds", count=count, size=size, suffix=SUFFIX)
        bench.say("storing files")
        with ThreadPoolExecutor(_UPLOADS) as pool:
            list(pool.map(partial(_store, s3), files))
        yield s3, [file.name for file in files]


def _store(s3: SeaweedFs, file: Path) -> None:
    """Leave an object as today's clients do: with a CRC32, a large one with a CRC32 for each part of 8 MiB."""
    key = _FOLDER + file.name
    if file.stat().st_size > _PART:
        s3.client.upload_file(str(file), _BUCKET, key)
    else:  # the same without a pool of threads for each file
        s3.client.put_object(Bucket=_BUCKET, Key=key, Body=file.read_bytes(), ChecksumAlgorithm="CRC32")


def shelf_of(s3: SeaweedFs, names: Sequence[str], *, size: int) -> Shelf:
    """Return the files as our side names them."""
    return Shelf(
        title=f"S3, {described(len(names), size)}", pid=s3.pid, size=size,
        uris=[f"s3a://{_BUCKET}/{_FOLDER}{name}" for name in names], environment=_keys(s3),
        sources=SourceSettings(s3=S3Sources(endpoint=s3.url, path_style=True, region=_REGION), egress=ON_LOOPBACK),
    )  # fmt: skip


def _s5cmd(s3: SeaweedFs, names: Sequence[str]) -> Peer:
    what = names[0] if len(names) == 1 else "*"
    command = [*_s5cmd_at(s3), "cp", f"s3://{_BUCKET}/{_FOLDER}{what}", "{into}/"]
    return Peer(name="s5cmd", command=command, environment=_keys(s3))


def _s5cmd_at(s3: SeaweedFs) -> list[str]:
    return [str(environment(LIBRARIES) / "s5cmd"), "--log", "error", "--endpoint-url", s3.url]


def _obstore(s3: SeaweedFs, names: Sequence[str]) -> Peer:
    return Peer(name="obstore", command=program(environment(LIBRARIES), "s3_obstore"), task=_task(s3, names))


def _boto3(s3: SeaweedFs, names: Sequence[str]) -> Peer:
    return Peer(name="boto3", command=program(environment(LIBRARIES), "s3_boto3"), task=_task(s3, names))


def _curl(bench: Bench, s3: SeaweedFs, names: Sequence[str]) -> Peer:
    targets = [(_presigned(s3.client, name), name) for name in names]
    settings: Path = bench.folder / "curl"
    return Peer(name="curl", command=curl.get_all(targets, headers={}, settings=settings))


def _kserve(s3: SeaweedFs, names: Sequence[str]) -> Peer:
    # A folder is one URI, whose files come several at a time; of many URIs one comes after the other.
    only = names[0] if len(names) == 1 else ""
    return Peer(
        name="kserve", command=program(environment(KSERVE), "kserve"), task={"uris": [f"s3://{_BUCKET}/{_FOLDER}{only}"]},
        environment={**_keys(s3), "AWS_ENDPOINT_URL": s3.url},
    )  # fmt: skip


def _presigned(client: Any, name: str) -> str:
    given = {"Bucket": _BUCKET, "Key": _FOLDER + name}
    return str(client.generate_presigned_url("get_object", Params=given, ExpiresIn=_SIGNED_FOR))


def _task(s3: SeaweedFs, names: Sequence[str]) -> dict[str, object]:
    return {
        "endpoint": s3.url, "region": _REGION, "key": s3.access_key, "secret": s3.secret_key, "bucket": _BUCKET,
        "folder": _FOLDER, "names": list(names),
    }  # fmt: skip


def _keys(s3: SeaweedFs) -> Mapping[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key, "AWS_DEFAULT_REGION": _REGION,
    }  # fmt: skip
