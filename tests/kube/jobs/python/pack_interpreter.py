"""Write this container's Python to standard output as a tar.gz whose interpreter runs from wherever it is unpacked.

It runs in a pod of the Spark image, so that processor and C library are those of the pods that will use the archive.
CPython finds its library relative to its program's real path, which is all that "relocatable" takes here.
`bin/python` is a relative link, as in archives made by conda-pack and venv-pack.
"""

import gzip
import sys
import sysconfig
import tarfile
from pathlib import Path

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
# Half the size, and of no use to a job.
LEFT_OUT = {"__pycache__", "test", "idlelib", "ensurepip", "lib2to3", "tkinter", "turtledemo", "pydoc_data"}
LEFT_OUT |= {"site-packages", "dist-packages", f"config-{VERSION[6:]}-{sysconfig.get_config_var('MULTIARCH')}"}


def left_in(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The member, unless it is dead weight or a link that would leave the archive."""
    if member.issym() or LEFT_OUT & set(Path(member.name).parts):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def pack(archive: tarfile.TarFile) -> None:
    """Add the program, the usual names for it, and its library."""
    # In a virtual environment `sys.executable` is a copy or a link that needs the interpreter it was made from.
    program = Path(sys._base_executable).resolve()
    archive.add(program, f"bin/{VERSION}")
    for name in ("python", "python3"):
        link = tarfile.TarInfo(f"bin/{name}")
        link.type = tarfile.SYMTYPE
        link.linkname = VERSION
        archive.addfile(link)
    archive.add(sysconfig.get_path("stdlib"), f"lib/{VERSION}", filter=left_in)


if __name__ == "__main__":
    with (
        gzip.GzipFile(fileobj=sys.stdout.buffer, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|") as stream,
    ):
        pack(stream)
