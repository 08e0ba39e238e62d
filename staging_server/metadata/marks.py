"""What the sweeper remembers of its own work, so that a restart does not do it again."""

from typing import Final

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert as upsert

from staging_server.metadata.tables import marks

POLICIES: Final = "policies"
"""Fingerprint of the policies by which the next looks at all bundles were set."""

RECONCILED: Final = "reconciled"
"""When all counts were last reconciled (microseconds)."""

_FIND: Final = select(marks.c.value).where(marks.c.name == bindparam("of_name"))
_NEW: Final = upsert(marks)
_SET: Final = _NEW.on_conflict_do_update(index_elements=[marks.c.name], set_={"value": _NEW.excluded.value})


def find_mark(connection: Connection, name: str) -> str | None:
    """Return what was remembered: a query."""
    return connection.execute(_FIND, {"of_name": name}).scalar()


def set_mark(connection: Connection, item: tuple[str, str]) -> None:
    """Remember a value under a name."""
    name, value = item
    connection.execute(_SET, {"name": name, "value": value})
