"""Waiting for a condition, with a deadline: what a cluster does takes the time that it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

from tests.kube.processes import CommandFailedError

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], *, what: str, seconds: float = 120, every: float = 1.0) -> T:
    """Look until there is something (neither None, nor False, nor empty), and return it.

    Raises:
        CommandFailedError: there was nothing within that time.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            msg = f"{what}: not within {seconds:.0f} s"
            raise CommandFailedError(msg)
        # A cluster is watched best by asking it again: all that is here are programs that ask and end.
        time.sleep(every)
    return found
