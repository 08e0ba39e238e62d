"""What a fault proxy can be told to do: frozen values, so that a plan of faults can be written down, drawn and shown.

And what it notes of an exchange.

A `Rule` says which requests a fault strikes.  Faults that strike inside a message have a `Place`: the direction, and
the bytes of its body (or of its head) that pass unharmed before.  A place behind the end of a message is never reached.
"""

from dataclasses import dataclass, field
from enum import Enum


class Way(Enum):
    """Direction of a message."""

    UP = "to the server"
    DOWN = "to the client"


class Zone(Enum):
    """Part of a message."""

    HEAD = "head"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """After `at` bytes of one part of a message; sizes of chunks do not count as bytes of a body."""

    way: Way = Way.DOWN
    at: int = 0
    zone: Zone = Zone.BODY


@dataclass(frozen=True, slots=True)
class Reset:
    """Both connections are reset (RST)."""

    place: Place


@dataclass(frozen=True, slots=True)
class Truncate:
    """The receiver gets the end of the connection (FIN), as if that were all; sizes stay as announced.

    A server may still answer what it got.
    """

    place: Place


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more passes in this direction for some seconds, or, without `seconds`, ever: a cable was pulled."""

    place: Place
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Corrupt:
    """One bit of the byte at the place is flipped."""

    place: Place
    bit: int = 0


@dataclass(frozen=True, slots=True)
class Repeat:
    """`size` bytes from the place on pass twice; what is too much for the message follows it on the connection."""

    place: Place
    size: int = 1


@dataclass(frozen=True, slots=True)
class Slow:
    """The whole direction is held to so many bytes a second."""

    way: Way
    rate: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The server never hears of the request: it is answered with `status`, after its body was read, or before."""

    status: int = 503
    retry_after: int | None = None
    body: bytes = b""
    content_type: str = "text/plain"
    reads_body: bool = True


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The server does its work and answers; the client sees its connection closed, or reset, without an answer."""

    resets: bool = False


@dataclass(frozen=True, slots=True)
class SendTwice:
    """The server gets the request twice, the second time after its first answer or beside it; the client gets one."""

    at_once: bool = False


@dataclass(frozen=True, slots=True)
class CloseAfter:
    """The answer passes whole, then the kept connection is closed without having said so."""


PlacedFault = Reset | Truncate | Stall | Corrupt | Repeat
Fault = PlacedFault | Slow | Refuse | LoseAnswer | SendTwice | CloseAfter


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`fault` strikes requests of `method` whose path contains `path`: after `skip` of those, the next `times`.

    Counting only what matches makes it the same each time, also when a client sends several requests at once.
    """

    fault: Fault
    method: str | None = None
    path: str = ""
    skip: int = 0
    times: int = 1

    def matches(self, method: str, path: str) -> bool:
        """Whether the request counts for this rule."""
        return self.method in {None, method} and self.path in path


@dataclass(kw_only=True)
class Exchange:
    """One request and its answer, as they passed.

    Attributes:
        connection: number of the client's connection, from 0.
        status: of the answer that was sent to the client; None without one.
        up: bytes of the request's body that passed.
        down: bytes of the answer's body that passed.
        struck: the faults that happened.
    """

    connection: int
    method: str
    path: str
    status: int | None = None
    up: int = 0
    down: int = 0
    struck: list[Fault] = field(default_factory=list)
