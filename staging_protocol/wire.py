"""How the wire types are written as JSON, and read again with the path of a bad field in the error.

`Digest`, `FileName`, `BundleId` are strings that check themselves; JSON holds them as plain strings.
Unknown fields are ignored, so that programs one minor version apart understand one another.
"""

from typing import Any, TypeVar

import msgspec

from staging_protocol.errors import InvalidRequest
from staging_protocol.printable import printable

T = TypeVar("T")


def encode(value: msgspec.Struct) -> bytes:
    """Return `value` as compact JSON; the same value gives the same bytes."""
    return msgspec.json.encode(value, enc_hook=_plain_string)


def decode(data: bytes | str, *, into: type[T]) -> T:
    """Read JSON as a value of type `into`.

    Raises:
        InvalidRequest: it is not JSON, or a field is missing or wrong; the message names the field's path.
    """
    try:
        return msgspec.json.decode(data, type=into, dec_hook=_checked_string)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"the JSON is not valid: {printable(str(error))}"
        raise InvalidRequest(msg) from error
    except RecursionError as error:  # also in a field that we do not know, which is skipped
        msg = "the JSON is not valid: it is nested too deeply"
        raise InvalidRequest(msg) from error


def _plain_string(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    msg = f"{type(value).__name__} has no JSON form"
    raise NotImplementedError(msg)


def _checked_string(kind: type[Any], value: object) -> object:
    if issubclass(kind, str) and isinstance(value, str):
        return _construct(kind, value)
    msg = f"expected a string for {kind.__name__}"
    raise msgspec.ValidationError(msg)


def _construct(kind: type[str], value: str) -> str:
    try:
        return kind(value)
    except InvalidRequest as error:
        # msgspec adds the path of the field to a ValueError or TypeError only.
        raise ValueError(error.detail) from error
