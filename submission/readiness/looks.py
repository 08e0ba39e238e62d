"""How dependencies are to be looked at, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from submission.classify import Dependency, Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How dependencies are looked at.

    Attributes:
        remote: whether remote ones are asked for; else they are believed to be there.
        lock: `--frozen`: the lock that all must agree with.
        remote_is_sparks: remote ones are left as they are, because Spark fetches them itself.
    """

    remote: bool = True
    lock: Path | None = None
    remote_is_sparks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What the job needs, file by file, and what is known of the bytes."""

    dependencies: tuple[Dependency, ...]
    known: Mapping[Dependency, Known]
