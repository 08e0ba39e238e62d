"""Moves the server's clock ahead; Python imports a module of this name at its start, from a folder of PYTHONPATH.

Moved is the clock by which bundles and blobs live (`staging_server.times.utc_now`), by the seconds that a file has now.
That of the process stays: tokens of Kubernetes expire by it, and a server of tomorrow would refuse those of today.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from staging_server import times

SECONDS = Path("/tmp/moved-seconds")  # noqa: S108 - of a pod, where nobody else is


def utc_now() -> datetime:
    """The time that it shall be."""
    ahead = float(SECONDS.read_text()) if SECONDS.exists() else 0.0
    return datetime.now(tz=UTC) + timedelta(seconds=ahead)


times.utc_now = utc_now
