"""The seam between the domain and the database.

The domain's questions and changes are plain functions that get a SQLAlchemy `Connection` and nothing else to wait for.
Each is written once, in SQLAlchemy Core, and runs unchanged on SQLite and PostgreSQL:

    def find_bundle(connection, wanted: BundleId) -> Row: …                      a query:      one argument, one answer
    def create_bundles(connection, items: Sequence[NewRow]) -> list[Created]: …  an operation: many at once, in order

An operation gets several callers' items, because the writer commits them together.  It must treat them as if they came
one after another, and must raise when one of them fails: then everything is rolled back and each item is tried alone.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Protocol, TypeVar

from sqlalchemy import Connection

Argument = TypeVar("Argument")
Item = TypeVar("Item")
Result = TypeVar("Result")

Query = Callable[[Connection, Argument], Result]
Operation = Callable[[Connection, Sequence[Item]], Sequence[Result]]


class Contention(Exception):
    """Somebody else was in the way (a conflict of keys, a deadlock, a limit that a lone item may still keep).

    The transaction is rolled back and tried again; callers of `Metadata` never see this.
    """


class Metadata(Protocol):
    """The database."""

    async def read(self, query: Query[Argument, Result], argument: Argument) -> Result:
        """Run `query` on a connection for reading; each of its statements sees what was committed before it.

        Raises:
            Unavailable: the database does not answer.
        """
        ...

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Run `operation` with `item`, and possibly others' items, in one transaction that is durable on return.

        Raises:
            Unavailable: the database does not answer or is closed.
            StagingError: what the operation raised; then it changed nothing.
        """
        ...

    async def close(self) -> None:
        """Finish what was accepted, then let go; later calls raise Unavailable."""
        ...


def one_by_one(change: Callable[[Connection, Item], Result]) -> Operation[Item, Result]:
    """Make an operation of a change that has nothing to gain from being done many at a time."""

    @wraps(change)
    def operation(connection: Connection, items: Sequence[Item]) -> Sequence[Result]:
        return [change(connection, item) for item in items]

    return operation
