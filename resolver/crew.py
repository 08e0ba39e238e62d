"""The threads of one run: a common queue of tasks, and as many threads as pay.

A task gets the thread's own buffer, so memory is threads times buffer size whatever the files are.  The first task that
fails ends the run: the caller gets its error, the other threads stop at their next check.  All threads are daemons,
because one that waits for a dead peer must not keep the process from ending.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from resolver.parallelism import Parallelism

Task = Callable[[memoryview], None]


class Crew:
    """Does tasks; made, filled, run and ended by one thread, which tasks may add to."""

    def __init__(self, *, parallelism: Parallelism, buffer_size: int) -> None:
        self._parallelism = parallelism
        self._buffer_size = buffer_size
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._threads: set[threading.Thread] = set()
        self._error: BaseException | None = None
        self._ended = False
        self._at_end: list[Callable[[], None]] = []

    def add(self, *tasks: Task) -> None:
        """Put tasks behind all others."""
        with self._changed:
            self._tasks.extend(tasks)
            self._hire()

    def add_first(self, *tasks: Task) -> None:
        """Put tasks before all others, in their order: what was begun is finished first."""
        with self._changed:
            self._tasks.extendleft(reversed(tasks))
            self._hire()

    @property
    def has_room(self) -> bool:
        """Whether a further task would have a thread at once."""
        return not self._ended and len(self._threads) + len(self._tasks) < self._parallelism.limit

    def run(self, *, interval: float, tick: Callable[[], None]) -> None:
        """Wait until all tasks are done, calling `tick` every `interval` seconds.

        Raises:
            StagingError: of the first task that failed, or of `tick`.
        """
        due = time.monotonic() + interval
        while True:
            with self._changed:
                if self._error is not None:
                    raise self._error
                if not self._threads and not self._tasks:
                    return
                self._hire()
                self._changed.wait(max(0.0, due - time.monotonic()))
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                tick()

    def end(self, *, patience: float) -> None:
        """Take no more tasks; wait at most `patience` seconds for threads to notice."""
        with self._changed:
            self._ended = True
            self._tasks.clear()
            self._changed.wait_for(lambda: not self._threads, timeout=patience)

    def when_left(self, call: Callable[[], None]) -> None:
        """Call it when no thread is left: now, or, after an `end` that could not wait, by the last thread."""
        with self._changed:
            if self._threads:
                self._at_end.append(call)
                return
        call()

    def _hire(self) -> None:
        wanted = 0 if self._ended else min(self._parallelism.limit - len(self._threads), len(self._tasks))
        for _ in range(wanted):
            thread = threading.Thread(target=self._work, name="resolving", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        buffer = memoryview(bytearray(self._buffer_size))
        while (task := self._next()) is not None:
            try:
                task(buffer)
            except BaseException as error:  # noqa: BLE001 - the outermost loop of a thread: the caller raises it
                self._fail(error)

    def _next(self) -> Task | None:
        with self._changed:
            if self._tasks and not self._ended and len(self._threads) <= self._parallelism.limit:
                return self._tasks.popleft()
            self._threads.discard(threading.current_thread())
            self._changed.notify_all()
            while self._at_end and not self._threads:
                self._at_end.pop()()
            return None

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._ended = True
            self._changed.notify_all()
