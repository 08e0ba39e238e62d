"""Work in order on threads that are shared: one piece of a lane at a time, beside those of other lanes.

The next piece is ready when a thread is done with one, so it need not wait for the event loop.  But it queues behind
what others want of the threads: a fast upload does not keep small reads waiting.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

R = TypeVar("R")


class Lane:
    """A queue of pieces of work; what was begun is finished, whoever stopped waiting for it."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = False

    def submit(self, work: Callable[[], R]) -> asyncio.Future[R]:
        """Do `work` after everything that was submitted before."""
        outcome: Future[R] = Future()
        with self._lock:
            self._waiting.append((outcome, work))
            idle, self._busy = not self._busy, True
        if idle:
            self._threads.submit(self._step)
        return asyncio.wrap_future(outcome)

    def _step(self) -> None:
        outcome, work = self._waiting.popleft()
        if outcome.set_running_or_notify_cancel():
            try:
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - as in every executor, it is raised where it is awaited
                outcome.set_exception(error)
        with self._lock:
            more = self._busy = bool(self._waiting)
        if more:
            self._threads.submit(self._step)
