"""One connection to a server: whole requests go out; heads, lines and bytes of answers come in."""

import select
import socket
import struct
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult

from staging_protocol.errors import InvalidRequest, RefusedByPolicy

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from staging_io.exchange import Admission

MAX_HEAD: Final = 64 * 1024
"""Bytes of an answer's status line and headers; what has more did not come from a server of ours or anybody's."""

_FIRST_READ: Final = 16 * 1024


class BadAnswer(OSError):
    """The peer does not speak HTTP as it should, or ended too early."""


class Connection:
    """One connection; used for one exchange at a time.

    In clear text the kernel keeps the time and fills whole buffers: one system call for as many bytes as fit.
    Python's own time-outs cost a `poll` before each `recv`, which returns what one packet brought.  TLS needs them.
    """

    def __init__(
        self,
        url: SplitResult,
        *,
        tls: "ssl.SSLContext | None",
        admission: "Admission | None" = None,
        connect_timeout: float,
        stall_timeout: float,
    ) -> None:
        """Connect.  A peer that is silent for `stall_timeout` seconds counts as gone, in each call below."""
        self._left = memoryview(b"")
        self._poll: select.poll | None = None
        self._in_clear = tls is None
        self._socket = _connected(url, admission=admission, timeout=connect_timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is None:
                _limit(self._socket, seconds=stall_timeout)
                self._flags = int(socket.MSG_WAITALL)
            else:
                self._socket = tls.wrap_socket(self._socket, server_hostname=url.hostname)
                self._socket.settimeout(stall_timeout)
                self._flags = 0
        except BaseException:
            self._socket.close()
            raise

    def is_dropped(self) -> bool:
        """Whether the peer has closed it, or sent what nobody asked for."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        return bool(self._left) or bool(self._poll.poll(0))

    def send(self, data: bytes) -> None:
        """Send a whole request; a peer that did not wait for it may have said why, which reading tells."""
        self._send_part(data)

    def send_in_parts(self, head: bytes, parts: "Iterable[bytes | memoryview]") -> bool:
        """Send a request whose body comes in parts; False when the peer did not wait for all of it.

        Then its answer says why, if there is one.  What `parts` raises passes through.
        """
        each = iter(parts)
        first = next(each, None)
        if first is None:
            return self._send_part(head)
        if not (self._send_part(head, is_last=False) and self._send_part(first)):
            return False
        # TLS may have tickets to read at any time, so there an early answer is noticed when sending fails.
        return all(not (self._in_clear and self.is_dropped()) and self._send_part(part) for part in each)

    def head(self) -> list[str]:
        """Return the lines of the next status line and headers."""
        data = bytes(self._left)
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = self._receive_some()
            if not more or len(data) > MAX_HEAD:
                msg = "the connection was closed before an answer came" if not data else "the answer has no end"
                raise BadAnswer(msg)
            data = data + more if data else more
        self._left = memoryview(data)[end + 4 :]
        return data[:end].decode("latin-1").split("\r\n")

    def read_into(self, buffer: memoryview, *, whole: bool = True) -> int:
        """Read some bytes; 0 at the end of the connection.  With `whole`, in clear text, as many as fit."""
        if count := min(len(self._left), len(buffer)):
            buffer[:count] = self._left[:count]
            self._left = self._left[count:]
            return count
        try:
            return self._socket.recv_into(buffer, 0, self._flags if whole else 0)
        except BlockingIOError as error:
            raise _timed_out() from error

    def line(self) -> bytes:
        """Read a short line of a chunked body, without its end."""
        data = bytearray()
        one = memoryview(bytearray(1))
        while not data.endswith(b"\r\n"):
            if not self.read_into(one) or len(data) > MAX_HEAD:
                msg = "a chunked body broke off"
                raise BadAnswer(msg)
            data += one
        return bytes(data[:-2])

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _send_part(self, part: "bytes | memoryview", *, is_last: bool = True) -> bool:
        flags = 0 if is_last or not self._in_clear else socket.MSG_MORE
        try:
            self._socket.sendall(part, flags)
        except BlockingIOError as error:
            raise _timed_out() from error
        except TimeoutError:
            raise
        except OSError:  # a reset, or what TLS calls it; the answer may have come before
            return False
        return True

    def _receive_some(self) -> bytes:
        try:
            return self._socket.recv(_FIRST_READ)
        except BlockingIOError as error:
            raise _timed_out() from error


def _connected(url: SplitResult, *, admission: "Admission | None", timeout: float) -> socket.socket:
    """Return a connection to the first address that takes it.

    The name is looked up once, and each address is asked for before it is used: a name that leads elsewhere the second
    time leads nowhere.
    """
    unreachable: OSError | None = None
    refused: RefusedByPolicy | None = None
    for family, address in _addresses(url):
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            if admission is not None:
                admission.check_address(url, str(address[0]))
            connected.settimeout(timeout)
            connected.connect(address)
        except OSError as error:
            connected.close()
            unreachable = error
        except RefusedByPolicy as error:
            connected.close()
            refused = error
        except BaseException:
            connected.close()
            raise
        else:
            return connected
    try:
        raise unreachable or refused or OSError("the name has no address")
    finally:
        del unreachable, refused  # their tracebacks hold this frame


def _addresses(url: SplitResult) -> list[tuple[socket.AddressFamily, Any]]:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label of more than 63 characters, or of none
        msg = "the host of the URL is no host name"
        raise InvalidRequest(msg) from error
    return [(family, address) for family, _, _, _, address in found]


def _limit(connected: socket.socket, *, seconds: float) -> None:
    """Let the kernel give up (EAGAIN) a call in which nothing moved for so long (socket(7))."""
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    connected.settimeout(None)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _timed_out() -> TimeoutError:
    return TimeoutError("timed out")
