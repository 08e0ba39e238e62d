"""Bombs: the memory and the disk that they cost are bounded, measured in a process of their own."""

import io
import json
import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_MIB: Final = 1024 * 1024
_ALLOWED: Final = 48
"""MiB that unpacking may add to a process: buffers, and xz's dictionary; a pod has 128 MiB for all."""

_MEASURE: Final = """
import json, resource, sys
from pathlib import Path
from resolver import archives, members, tars, zips
from resolver.settings import ArchiveLimits
from staging_protocol.errors import StagingError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before, code = peak(), "unpacked"
try:
    limits = ArchiveLimits(size=64 * 1024 * 1024)
    archives.unpack(Path(sys.argv[1]), Path(sys.argv[2]), limits=limits, durable=False, check=lambda: None)
except StagingError as error:
    code = error.code
print(json.dumps({"code": code, "added": peak() - before}))
"""


def _zeros(mode: str) -> bytes:
    """Return a tar of one file of 100 MiB of zeros."""
    raw = io.BytesIO()
    options: dict[str, Any] = {"preset": 0} if mode.endswith("xz") else {"compresslevel": 1}
    with tarfile.open(fileobj=raw, mode=mode, **options) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("zeros")
        member.size = 100 * _MIB
        with Path("/dev/zero").open("rb") as zeros:
            archive.addfile(member, zeros)
    return raw.getvalue()


def _zip_of_zeros() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("zeros", bytes(100 * _MIB))
    return raw.getvalue()


def _zip_that_lies() -> bytes:
    """Return a zip whose directory says 10 bytes, and whose member has 100 MiB."""
    data = bytearray(_zip_of_zeros())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", 10)
    return bytes(data)


def _many_members() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for number in range(10_000):
            archive.writestr(zipfile.ZipInfo(f"{number:x}" + "n" * 200), b"")
    return raw.getvalue()


def _header(name: str, kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.USTAR_FORMAT)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def _records(count: int, *, begin: int = 0) -> bytes:
    """Return PAX records with different keys."""
    return b"".join(b"40 k%010d=%s\n" % (number, b"v" * 24) for number in range(begin, begin + count))


def _shared_headers() -> bytes:
    """Return a tar whose headers for the whole archive never end, each with a small file behind it."""
    parts = []
    for number in range(400):
        records = _records(1000, begin=number * 1000)
        parts += [_header("g", tarfile.XGLTYPE, len(records)), _padded(records)]
        parts += [_header(f"f{number}", tarfile.REGTYPE, 0)]
    return b"".join(parts) + bytes(1024)


def _chain_of_headers() -> bytes:
    """Return a tar in which one member has 20,000 long names."""
    one = _header("l", tarfile.GNUTYPE_LONGNAME, 5) + _padded(b"name\0")
    return one * 20_000 + _header("f", tarfile.REGTYPE, 0) + bytes(1024)


def _header_of_a_gigabyte() -> bytes:
    return _header("p", tarfile.XHDTYPE, 1024 * _MIB) + bytes(_MIB)


def _huge_dictionary() -> bytes:
    """Return an xz whose header asks for a dictionary of 4 GiB; the data need none."""
    data = bytearray(lzma.compress(bytes(10_240), preset=0))
    size = (data[12] + 1) * 4
    at = data.index(b"\x21\x01", 13) + 2
    data[at] = 40
    data[12 + size - 4 : 12 + size] = struct.pack("<L", zlib.crc32(data[12 : 12 + size - 4]))
    return bytes(data)


_BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "tar.gz of zeros": lambda: _zeros("w:gz"),
    "tar.bz2 of zeros": lambda: _zeros("w:bz2"),
    "tar.xz of zeros": lambda: _zeros("w:xz"),
    "zip of zeros": _zip_of_zeros,
    "zip that lies about its sizes": _zip_that_lies,
    "headers for the whole archive": _shared_headers,
    "headers without an end": _chain_of_headers,
    "a header of a gigabyte": _header_of_a_gigabyte,
}


def _unpacked(data: bytes, tmp_path: Path) -> tuple[str, float, int]:
    """Return the code, the MiB of memory that were added, and the bytes on the disk."""
    archive, folder = tmp_path / "archive", tmp_path / "folder"
    archive.write_bytes(data)
    folder.mkdir()
    command = [sys.executable, "-c", _MEASURE, str(archive), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT, timeout=120)
    told = json.loads(done.stdout)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return told["code"], told["added"], size


@pytest.mark.parametrize("name", _BOMBS)
def test_a_bomb_costs_little_memory_and_no_more_disk_than_the_limit(name: str, tmp_path: Path) -> None:
    code, added, size = _unpacked(_BOMBS[name](), tmp_path)
    assert code == "bad-archive"
    assert added < _ALLOWED
    assert size <= 64 * _MIB


def test_a_huge_dictionary_is_not_filled(tmp_path: Path) -> None:
    """The name of a size costs nothing: memory that is not written to is not there."""
    _, added, size = _unpacked(_huge_dictionary(), tmp_path)
    assert added < _ALLOWED
    assert size == 0


def test_ten_thousand_members_cost_less_than_a_pod_has(tmp_path: Path) -> None:
    code, added, _ = _unpacked(_many_members(), tmp_path)
    assert code == "unpacked"
    assert added < 2 * _ALLOWED
