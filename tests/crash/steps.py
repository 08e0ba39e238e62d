"""Ends a process at an exact step of its work, or makes that step fail: without a line in the product.

A step is a call that changes what a disk, a database or a peer sees: system calls of `os`, statements of SQLAlchemy,
bytes to a socket.  `watch` wraps them all, in the process that is to die.  Then

    arm(at=7)                     the 7th step from now on is never done: SIGKILL comes before it
    arm(at=7, error=ENOSPC)       the 7th step fails with that error, the others work
    arm(at=7, only=("os.fsync",)) counts those steps only

Killing before each step is killing after each step, too: the disk is the same.
"""

import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any, Final

CALLS: Final = (
    "chmod", "fdatasync", "fsync", "ftruncate", "link", "mkdir", "posix_fallocate", "pwrite", "pwritev", "remove",
    "rename", "replace", "rmdir", "sendfile", "symlink", "truncate", "unlink", "utime", "write", "writev",
)  # fmt: skip
"""Of `os`; `open` counts when it makes a file, and writing a log is no step."""

_OUTPUT: Final = (1, 2)

WRITES: Final = tuple(f"os.{name}" for name in (*CALLS, "open") if name != "sendfile")
"""The steps that change a disk."""


class Steps:
    """Counts the steps of this process, on all threads, and ends it at the armed one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: int | None = None
        self._error: int | None = None
        self._only: Collection[str] = ()
        self._seen: list[str] = []
        self._counting = False

    def arm(self, *, at: int | None, error: int | None = None, only: Collection[str] = ()) -> None:
        """Count from now on; `at` None only counts."""
        with self._lock:
            self._at, self._error, self._only, self._seen, self._counting = at, error, only, [], True

    def disarm(self) -> list[str]:
        """Let everything pass again; return the names of the steps since `arm`."""
        with self._lock:
            self._counting = False
            return self._seen

    def reached(self, name: str) -> None:
        """Note that a step is about to be done; does not return from the armed one."""
        with self._lock:
            if not self._counting or (self._only and name not in self._only):
                return
            self._seen.append(name)
            if len(self._seen) != self._at:
                return
            error = self._error
            if error is None:
                os.kill(os.getpid(), signal.SIGKILL)
                return
        raise OSError(error, os.strerror(error))


def watch() -> Steps:
    """Wrap every step of this process."""
    steps = Steps()
    for name in CALLS:
        setattr(os, name, _counted(getattr(os, name), f"os.{name}", steps))
    _watch_open(steps)
    fcntl.flock = _counted(fcntl.flock, "flock", steps)
    _watch_sockets(steps)
    _watch_statements(steps)
    return steps


def _counted(function: Callable[..., Any], name: str, steps: Steps) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        if not args or args[0] not in _OUTPUT:
            steps.reached(name)
        return function(*args, **kwargs)

    return counted


def _watch_open(steps: Steps) -> None:
    original = os.open

    def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_CREAT | os.O_TRUNC):
            steps.reached("os.open")
        return original(path, flags, *args, **kwargs)

    os.open = opened


def _watch_sockets(steps: Steps) -> None:
    class Socket(socket.socket):
        """Accepted connections are of this class, too; the loop's own pair of sockets is none of a network."""

        def send(self, *args: Any) -> int:
            if self.family != socket.AF_UNIX:
                steps.reached("send")
            return super().send(*args)

    socket.socket = Socket  # type: ignore[misc]


def _watch_statements(steps: Steps) -> None:
    from sqlalchemy import Engine, event

    def statement(_connection: Any, _cursor: Any, text: str, *_rest: Any) -> None:
        steps.reached(f"sql {text.split(None, 1)[0]}")

    def commit(_connection: Any) -> None:
        steps.reached("sql COMMIT")

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", commit)
