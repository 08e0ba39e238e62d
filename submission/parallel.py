"""Several calls at the same time, ended by the first failure.

Threads are daemons: a person who interrupts does not wait for a stalled connection, which the standard pools make
their process do.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(items: Sequence[T], call: Callable[[T], R], *, at_once: int, stop: threading.Event) -> list[R]:
    """Return `call(item)` for each item, in the order of the items.

    After a failure, or an interruption of the caller, `stop` is set and no further call begins; a call that takes long
    watches `stop` itself.  The first failure is raised.
    """
    if not items:
        return []
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, R | None, BaseException | None]] = queue.SimpleQueue()
    for number in range(len(items)):
        todo.put(number)
    for _ in range(min(at_once, len(items))):
        threading.Thread(target=_work, args=(items, call, todo, done, stop), daemon=True).start()
    results: dict[int, R] = {}
    try:
        while len(results) < len(items):
            number, result, error = done.get()
            if error is not None:
                raise error
            results[number] = result  # type: ignore[assignment] # without an error there is a result
    finally:
        if len(results) < len(items):
            stop.set()
    return [results[number] for number in range(len(items))]


def _work(
    items: Sequence[T],
    call: Callable[[T], R],
    todo: "queue.SimpleQueue[int]",
    done: "queue.SimpleQueue[tuple[int, R | None, BaseException | None]]",
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            number = todo.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((number, call(items[number]), None))
        except BaseException as error:  # noqa: BLE001 - the outermost loop of a thread; the caller raises it
            done.put((number, None, error))
            return
