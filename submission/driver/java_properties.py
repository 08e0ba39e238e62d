"""Properties as `java.util.Properties.store` writes them, which is how the driver finds its `spark.properties`.

Stock Spark's file also says when it was written, and its lines are in no order.  Ours are sorted and bear no time: the
same job gives the same text.  Pure.
"""

from collections.abc import Mapping
from typing import Final

_ESCAPED: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"} | {c: f"\\{c}" for c in "=:#!"}


def stored(properties: Mapping[str, str], *, comment: str) -> str:
    """Return `properties` as text, below one line of comment."""
    lines = (f"{_key(key)}={_value(properties[key])}\n" for key in sorted(properties))
    return f"#{comment}\n{''.join(lines)}"


def _key(text: str) -> str:
    return _escaped(text).replace(" ", "\\ ")


def _value(text: str) -> str:
    # Only the first blank of a value needs its backslash: the rest is not skipped when it is read.
    return f"\\{_escaped(text)}" if text.startswith(" ") else _escaped(text)


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(character, character) for character in text)
