"""Everything that a job names, looked at before anything is created or uploaded; all that is wrong is told at once.

    named → files (globs and folders expanded) → is each there? → are targets apart? → does the lock agree?

What comes out is concrete: one dependency for each file, with the size and the digest that its source states or the
lock promises.  A job without remote dependencies and without a lock costs nothing here.
"""

from collections.abc import Sequence

from staging_protocol.uris import Locality
from submission.classify import NOTHING_KNOWN, Dependency
from submission.problems import together
from submission.progress.telling import Progress
from submission.readiness.looks import Looks, Ready
from submission.settings import Settings


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
