"""What all bodies are made of: their base, and the types of their fields."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[int, Meta(gt=0, le=10 * 366 * 86400)]
# Control characters would move a terminal's cursor or forge lines of a table; PostgreSQL does not take a NUL.
# Python's `$` also stands before a last newline, hence the look-ahead.
_PLAIN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
_LINES: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"

ShortText = Annotated[str, Meta(min_length=1, max_length=253, pattern=_PLAIN)]
LongText = Annotated[str, Meta(min_length=1, max_length=2000, pattern=_LINES)]


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all bodies: immutable, by name, defaults left out."""
