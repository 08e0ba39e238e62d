"""What can be said of a leftover.  Pure.

Only `no live job names it` may lead somebody to delete, so everything that is not clear is `not known`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

SETTLED: Final = timedelta(days=1)
"""A submit uploads everything, then Kubernetes hears of the job; with slow links or a long queue that takes hours."""


class State(StrEnum):
    """Whether somebody needs it."""

    IN_USE = "in use"
    UNNAMED = "no live job names it"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namer:
    """What names a leftover.

    Attributes:
        job: kind, namespace and name of the object.
        application: as its users call it.
        live: whether it has not finished.
    """

    job: str
    application: str
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What Kubernetes says of the jobs that there are.

    Attributes:
        asked: whether it was asked.
        namespaces: empty for all of the cluster.
        names: of upload folders, and what names them.
        live: number of jobs that have not finished.
        finished: number of others.
        problems: what Kubernetes did not say.
    """

    asked: bool = True
    namespaces: tuple[str, ...] = ()
    names: Mapping[str, Namer] = field(default_factory=dict)
    live: int = 0
    finished: int = 0
    problems: tuple[str, ...] = ()


NOT_ASKED: Final = Jobs(asked=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An upload folder, summed up.

    Attributes:
        path: below the root of the store.
        name: what jobs call it by.
        size: bytes of its files.
        files: their number.
        oldest: when the first of them was written last.
        newest: when the last of them was; of an empty folder, when it was made.
        largest: name of its largest file, empty without one.
        whole: whether everything in it could be read.
    """

    path: str
    name: str
    size: int
    files: int
    oldest: datetime
    newest: datetime
    largest: str
    whole: bool


def state_of(leftover: Leftover, *, jobs: Jobs, now: datetime) -> State:
    """Return whether somebody needs it."""
    namer = jobs.names.get(leftover.name)
    if namer is not None and namer.live:
        return State.IN_USE
    clear = jobs.asked and not jobs.problems and leftover.whole
    return State.UNNAMED if clear and now - leftover.newest >= SETTLED else State.NOT_KNOWN
