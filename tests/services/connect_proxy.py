"""An HTTP proxy on loopback: CONNECT, and requests in absolute form; it alone knows where `names` lead."""

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class ConnectProxy:
    """`asked` notes each request's method and target; with `credentials` (`user:password`) it wants them."""

    def __init__(self, names: Mapping[str, int], *, credentials: str | None = None, status: int = 200) -> None:
        self.asked: list[tuple[str, str]] = []
        self._names = names
        self._wanted = None if credentials is None else f"Basic {base64.b64encode(credentials.encode()).decode()}"
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(near)
            self._run(self._serve, near)

    def _run(self, target: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError):
            while head := _head(near):
                method, target, *_ = head.split("\r\n", 1)[0].split(" ")
                self.asked.append((method, target))
                if refusal := self._refusal(head):
                    near.sendall(f"HTTP/1.1 {refusal} No\r\nContent-Length: 0\r\n\r\n".encode())
                    continue
                self._pass(near, method, target, head)
                return
            near.close()

    def _refusal(self, head: str) -> int | None:
        fields = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n"))
        }
        if self._wanted not in {None, fields.get("proxy-authorization")}:
            return 407
        return None if self._status == 200 else self._status

    def _pass(self, near: socket.socket, method: str, target: str, head: str) -> None:
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host = url.hostname or ""
        far = socket.create_connection(("127.0.0.1", self._names.get(host, url.port or 80)))
        self._open.append(far)
        if method == "CONNECT":
            near.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            path = url._replace(scheme="", netloc="").geturl() or "/"
            far.sendall(head.replace(target, path, 1).encode() + b"\r\n\r\n")
        self._run(_copy, far, near)
        _copy(near, far)


def _head(near: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        more = near.recv(1)
        if not more:
            return ""
        data += more
    return data[:-4].decode()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def connect_proxy(
    names: Mapping[str, int], *, credentials: str | None = None, status: int = 200
) -> Iterator[ConnectProxy]:
    """Run a proxy until the block ends; `status` other than 200 refuses everything with it."""
    proxy = ConnectProxy(names, credentials=credentials, status=status)
    try:
        yield proxy
    finally:
        proxy.close()
