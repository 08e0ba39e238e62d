"""Everything that a job names, looked at before anything is created or uploaded; all that is wrong is told at once.

    named → files (globs and folders expanded) → is each there? → are targets apart? → does the lock agree?

What comes out is concrete: one dependency for each file, with the size and the digest that its source states or the
lock promises.  A job without remote dependencies and without a lock costs nothing here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from staging_protocol.uris import Locality
from submission.classify import NOTHING_KNOWN, Dependency, Known
from submission.problems import together
from submission.progress.telling import Progress
from submission.settings import Settings


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


def made_ready(dependencies: Sequence[Dependency], *, looks: Looks, settings: Settings, progress: Progress) -> Ready:
    """Look at the dependencies of a job.

    Raises:
        StagingError: what is wrong with them, all of it, with the exit code of the worst.
    """
    remote = not looks.remote_is_sparks and any(one.locality is Locality.REMOTE for one in dependencies)
    if not remote and looks.lock is None:
        return Ready(dependencies=tuple(dependencies), known=NOTHING_KNOWN)
    from submission.readiness.looking import Looking  # it brings the resolver, which most jobs do not need here

    ready, problems = Looking(looks=looks, settings=settings, progress=progress).look(dependencies)
    if problems:
        raise together(problems, what="nothing was created")
    return ready
