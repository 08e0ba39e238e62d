"""What parent and child tell one another.  Both are the same version of the same program."""

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """What a child is; also its name among the system's processes."""

    READER = "reader"
    SERVER = "server"


# --- parent to child


class Start(msgspec.Struct, frozen=True, tag=True):
    """The first message: the settings, with their secrets, and the URL that was bound."""

    settings: str
    url: str


class Written(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Write` number `number`; without a code it is durable."""

    number: int
    code: str | None = None
    detail: str = ""
    retry_after: float | None = None


class Leave(msgspec.Struct, frozen=True, tag=True):
    """Let what runs end."""


class Close(msgspec.Struct, frozen=True, tag=True):
    """End now."""


ToChild = Start | Written | Leave | Close

# --- child to parent


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It accepts connections."""


class Handed(msgspec.Struct, frozen=True, tag=True):
    """A connection, whose descriptor comes with the message.

    Attributes:
        first: bytes that were read from it already.
        peer: address and port of the client, when the descriptor is not the client's own.
    """

    first: bytes
    peer: tuple[str, int] | None


class Write(msgspec.Struct, frozen=True, tag=True):
    """Please run a database operation; `item` is its argument as JSON."""

    number: int
    operation: str
    item: bytes


ToParent = Ready | Handed | Write
