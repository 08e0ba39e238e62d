"""What is different between two locks, or between a lock and what is there now.  Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

from staging_protocol.printable import printable
from submission.locks.lockfile import Locked

_FIELDS: Final = ("target", "size", "digest", "version")
_DIGEST: Final = "sha256:"
_SHORT: Final = len(_DIGEST) + 12
"""Characters of a digest that tell it from others."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field that has another value."""

    field: str
    old: str | int
    new: str | int

    def __str__(self) -> str:
        """Return what a person needs of it."""
        return f"{self.field} {shortened(self.new)} instead of {shortened(self.old)}"


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """An entry on both sides, and how it differs."""

    old: Locked
    new: Locked
    changes: tuple[Change, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs, in the order of locks."""

    added: tuple[Locked, ...]
    removed: tuple[Locked, ...]
    changed: tuple[Changed, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def difference(old: Iterable[Locked], new: Iterable[Locked]) -> Difference:
    """Compare; what one side does not know is not compared."""
    before, after = ({one.key: one for one in sorted(side, key=lambda one: one.key)} for side in (old, new))
    pairs = [(one, after[key]) for key, one in before.items() if key in after]
    return Difference(
        added=tuple(one for key, one in after.items() if key not in before),
        removed=tuple(one for key, one in before.items() if key not in after),
        changed=tuple(
            Changed(old=one, new=other, changes=found) for one, other in pairs if (found := changes(one, other))
        ),
    )


def changes(old: Locked, new: Locked) -> tuple[Change, ...]:
    """Return the fields that both sides know and that differ."""
    values = ((name, getattr(old, name), getattr(new, name)) for name in _FIELDS)
    return tuple(
        Change(field=name, old=one, new=other)
        for name, one, other in values
        if one is not None and other is not None and one != other
    )


def changes_of_content(old: Locked, new: Locked) -> tuple[Change, ...]:
    """Return those of the changes that say that the bytes are other ones: none where both digests are the same."""
    if old.digest is not None and old.digest == new.digest:
        return ()
    return tuple(one for one in changes(old, new) if one.field != "target")


def shortened(value: str | int) -> str:
    """Return a value for a line that people read."""
    text = printable(str(value))
    return f"{text[:_SHORT]}…" if text.startswith(_DIGEST) else text
