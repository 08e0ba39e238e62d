"""The listening socket, which several processes may inherit, and the address that it stands for."""

import resource
import socket
from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_server.settings import Settings

_BACKLOG: Final = 4096
"""Connections that wait to be accepted: all executors of a big job start at the same second.  Linux cuts it to
net.core.somaxconn, 4,096 by default."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; several processes may inherit it.

    Without SO_REUSEPORT, which would let a second server start silently on the same port.

    Raises:
        InvalidRequest: the address is not this machine's, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        msg = f"cannot listen on {host!r}: {error.strerror}"
        raise InvalidRequest(msg) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        msg = (
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port or end the other server"
        )
        raise InvalidRequest(msg) from error
    return listener


def url_of(listener: socket.socket, settings: Settings) -> str:
    """Return the URL of the address that was bound."""
    scheme = "http" if settings.tls.certificate_file is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us, and return how many; clients and downloads are files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
