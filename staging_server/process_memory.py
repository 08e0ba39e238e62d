"""How the process holds memory, so that it stays flat under load: few arenas, and garbage that does not pile up.

glibc gives threads arenas of their own, up to eight for each processor.  What one thread has freed serves no other one
then, and a server with some fifty threads keeps the peaks of all arenas.

Requests leave no cycles behind, so reference counting frees them.  What the collector has to find is asyncio's: each
closed connection leaves its transport, which refers to itself.
"""

import ctypes
import gc
from typing import Final

_M_ARENA_MAX: Final = -8
"""mallopt(3), malloc.h of glibc."""

_ARENAS: Final = 2
"""One for the main thread, one for all others: they allocate while they hold the interpreter, so they do not meet."""


def share_arenas() -> None:
    """Let all threads share few arenas; before there are threads.  Other C libraries have no arenas to share."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def spare_collector() -> None:
    """Keep what lives as long as the process out of garbage collection, and collect less often: 6 % of a create.

    Not too rarely: what was in use at a collection is looked at again only by one of the next generation.
    """
    gc.collect()
    gc.freeze()
    # A whole collection waits until a quarter as much has grown old as the last one left: that is to be nothing now.
    gc.collect()
    gc.set_threshold(5_000, 10, 10)
