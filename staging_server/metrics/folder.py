"""Where several processes keep the numbers that `/metrics` adds up: a folder in memory, new at each start.

They are written through memory maps.  On a disk that is full the kernel would end the process for that (SIGBUS), so
they do not lie beside the data.  The name is that of the data's folder and the user: what a killed server left is
found again and removed by its successor.  prometheus-client must not be imported here: it has to find the folder.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from staging_protocol.errors import InvalidRequest

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the name below is checked for its owner


@contextmanager
def metrics_folder(data: Path) -> Iterator[Path]:
    """Make the folder for the server of the folder `data`, empty and private; it is gone afterwards.

    Raises:
        InvalidRequest: something of another user is in its place.
    """
    above = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    of_data = hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:16]
    folder = above / f"spark-staging-metrics-{os.getuid()}-{of_data}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            msg = f"{folder} is in the way and belongs to another user; remove it"
            raise InvalidRequest(msg) from None
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
