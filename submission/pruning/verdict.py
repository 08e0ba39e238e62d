"""What is to be done with an object that may be left over.  Pure."""

from dataclasses import dataclass
from enum import StrEnum

from submission.pruning.labelled import Labelled


class Fate(StrEnum):
    """What becomes of an object."""

    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An object, what becomes of it, and why."""

    object: Labelled
    fate: Fate
    why: str
