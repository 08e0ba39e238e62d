"""What differs between two submissions, value by value."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tests.submission.differential.normalising import Objects, identity

ABSENT: Final = "<absent>"
"""Stands for what one side does not have."""

_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_AMOUNTS: Final = re.compile(r".*\.(requests|limits|minResources)\.[^.]+|.*\.sizeLimit")
_UNITS: Final = {
    None: Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Change:
    """One value that is different.

    Attributes:
        where: `KIND/NAME:PATH`; without a path the whole object.
        stock: what stock Spark has, or `ABSENT`.
        ours: what ours has, or `ABSENT`.
    """

    where: str
    stock: Any
    ours: Any

    def __str__(self) -> str:
        """Return it in a line."""
        return f"{self.where}\n      stock: {self.stock!r}\n      ours:  {self.ours!r}"


def changes(stock: Objects, ours: Objects) -> Iterator[Change]:
    """Yield all that differs."""
    for name in sorted({*stock, *ours}):
        if name not in stock or name not in ours:
            has = {True: "there", False: ABSENT}
            yield Change(where=name, stock=has[name in stock], ours=has[name in ours])
            continue
        before, after = dict(_leaves(stock[name], "")), dict(_leaves(ours[name], ""))
        for path in sorted({*before, *after}):
            one, other = before.get(path, ABSENT), after.get(path, ABSENT)
            if one != other:
                yield Change(where=f"{name}:{path}", stock=one, ours=other)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        seen: dict[str, int] = {}
        for index, inner in enumerate(value):
            name = identity(inner) or str(index)
            seen[name] = seen.get(name, 0) + 1
            again = f"#{seen[name]}" if seen[name] > 1 else ""
            yield from _leaves(inner, f"{path}[{name}{again}]")
    else:
        yield path, _amount(value) if _AMOUNTS.fullmatch(path) else value


def _amount(value: Any) -> Any:
    """Return a quantity as a number, which Kubernetes writes in many ways."""
    match = _QUANTITY.fullmatch(str(value))
    return value if match is None else str((Decimal(match[1]) * _UNITS[match[2]]).normalize())
