"""Files that a running server follows: taken anew when they change, and kept as they were when they cannot be used.

    look  →  another version?  →  take it  →  from now on
                                  └ InvalidRequest: the old ones stay, one complaint, and another try at each look

Kubernetes replaces a mounted ConfigMap or Secret by swapping one symbolic link, and editors replace files, so the own
identity of the files is looked at, behind all links.  A pair that is half replaced is looked at until it is whole.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from staging_protocol.errors import InvalidRequest

_Version = tuple[tuple[int, int, int, int], ...]
"""Changes whenever one of the files does; empty while one is missing."""


class Followed:
    """Files that belong together.  Make it before they are read for the first time: what changes then is not missed."""

    def __init__(self, *paths: Path) -> None:
        """Look at them for the first time.  Waits for the disk."""
        self._paths = paths
        self._taken = self._refused = self._find_version()

    async def watch(self, take: Callable[[], None], *, refused: Callable[[InvalidRequest], None], every: float) -> None:
        """Look `every` so many seconds, until cancelled; both are called on a thread, `refused` once for each state."""
        while True:
            await asyncio.sleep(every)
            await asyncio.get_running_loop().run_in_executor(None, self.look, take, refused)

    def look(self, take: Callable[[], None], refused: Callable[[InvalidRequest], None]) -> None:
        """Take what has changed, or complain.  Waits for the disk."""
        version = self._find_version()
        if version == self._taken:
            return
        try:
            take()
        except InvalidRequest as error:
            if version != self._refused:
                self._refused = version
                refused(error)
        else:
            # Changed between the two: then it is still another one at the next look.
            self._taken = self._refused = version

    def _find_version(self) -> _Version:
        try:
            found = [path.stat() for path in self._paths]
        except OSError:
            return ()
        return tuple((status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino) for status in found)
