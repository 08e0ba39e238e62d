"""TLS before a server on loopback that speaks none: what arrives is decrypted and passed on."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from select import select

import trustme


@contextmanager
def tls_front(
    port: int, *, authority: trustme.CA, names: tuple[str, ...] = ("127.0.0.1",), wants_certificate: bool = False
) -> Iterator[int]:
    """Speak TLS with a certificate for `names` before the server at `port`; yield the port for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if wants_certificate:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    front = _Front(port, context)
    try:
        yield front.port
    finally:
        front.close()


class _Front:
    """One thread a connection, which waits for both ends: two may not use one TLS socket."""

    def __init__(self, target: int, context: ssl.SSLContext) -> None:
        self._target = target
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._over, self._at_end = socket.socketpair()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut every connection."""
        self._at_end.close()
        for thread in self._threads:  # the first one ends first, so there come no more
            thread.join()
        self._listener.close()
        self._over.close()

    def _accept(self) -> None:
        while self._over not in select([self._listener, self._over], [], [])[0]:
            near, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=(near,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, near: socket.socket) -> None:
        near.settimeout(30)
        with closing(near), suppress(OSError):  # clients refuse certificates, and both ends leave as they like
            encrypted = self._context.wrap_socket(near, server_side=True)
            with closing(encrypted), socket.create_connection(("127.0.0.1", self._target), timeout=30) as far:
                self._pass(encrypted, far)

    def _pass(self, near: ssl.SSLSocket, far: socket.socket) -> None:
        while True:
            ready = [near] if near.pending() else select([near, far, self._over], [], [])[0]
            if self._over in ready:
                return
            for source, target in ((near, far), (far, near)):
                if source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    target.sendall(data)
