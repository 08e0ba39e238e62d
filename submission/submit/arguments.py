"""One command line with two sets of options: those of spark-submit, and ours; they have no name in common.

Options end at the main resource, as for spark-submit; what follows belongs to the application.  Pure.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.spark.command_line import SHORT, SWITCHES, WITH_VALUE

_WITH_EQUALS: Final = re.compile(r"(--[^=]+)=.+", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """Whose arguments are whose, each in their order."""

    ours: tuple[str, ...]
    sparks: tuple[str, ...]


def divided(arguments: Sequence[str], *, ours: Mapping[str, bool]) -> Divided:
    """Return the arguments of both.

    Args:
        arguments: what follows `spark-staging submit`.
        ours: our options, and whether they take a value.

    Raises:
        InvalidRequest: an option is nobody's.
    """
    own: list[str] = []
    sparks: list[str] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        argument = rest.pop(0)
        match = _WITH_EQUALS.fullmatch(argument)
        name = match[1] if match else argument
        target, takes_value = _whose(name, ours=ours, own=own, sparks=sparks)
        target.append(argument)
        if takes_value and not match and rest:
            target.append(rest.pop(0))
    return Divided(ours=tuple(own), sparks=(*sparks, *rest))


def _whose(name: str, *, ours: Mapping[str, bool], own: list[str], sparks: list[str]) -> tuple[list[str], bool]:
    if name in ours:
        return own, ours[name]
    if SHORT.get(name, name) in WITH_VALUE | SWITCHES:
        return sparks, SHORT.get(name, name) in WITH_VALUE
    close = difflib.get_close_matches(name, sorted({*ours, *WITH_VALUE, *SWITCHES}), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    msg = f"{name} is neither an option of spark-submit nor of spark-staging submit{hint}"
    raise InvalidRequest(msg)
