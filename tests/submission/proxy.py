"""A TCP proxy before a server: it counts bytes, and treats connections badly on request."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from urllib.parse import urlsplit


class Treatment(Enum):
    """What happens to a connection."""

    PASS = "pass"
    REFUSE = "refuse"  # closed at once
    MUTE = "mute"  # the request arrives, the answer is lost
    STALL = "stall"  # nothing moves after 100 kB


STALL_AFTER = 100_000


class Proxy:
    """Counts of what went through; `treatments` are for the next connections, in order."""

    def __init__(self, target: str) -> None:
        self._target = (urlsplit(target).hostname, urlsplit(target).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.treatments: list[Treatment] = []
        self.everything = Treatment.PASS
        self.bytes_up = self.bytes_down = self.connections = 0
        self.stalled = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            treatment = self.treatments.pop(0) if self.treatments else self.everything
            if treatment is Treatment.REFUSE:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, target, up in ((near, far, True), (far, near, False)):
                thread = threading.Thread(target=self._copy, args=(source, target, treatment), kwargs={"up": up})
                self._threads.append(thread)
                thread.start()

    def _copy(self, source: socket.socket, target: socket.socket, treatment: Treatment, *, up: bool) -> None:
        moved = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if treatment is Treatment.MUTE and not up:
                    break
                moved += len(data)
                if treatment is Treatment.STALL and up and moved > STALL_AFTER:
                    self.stalled.set()
                    return
                if up:
                    self.bytes_up += len(data)
                else:
                    self.bytes_down += len(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close_kept(self) -> None:
        """Close every connection that stands, as a restarted server does."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_kept()
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Run a proxy before `target`."""
    state = Proxy(target)
    thread = threading.Thread(target=state.serve)
    thread.start()
    try:
        yield state
    finally:
        state.close()
        thread.join()
