"""How a job's dependencies are looked at: files asked for, targets compared, the lock compared."""

import threading
from collections.abc import Sequence

from resolver.expand import is_pattern
from resolver.sources.choose import Sources
from staging_protocol.errors import InvalidRequest, StagingError
from staging_protocol.uris import Locality
from submission.classify import Dependency, Known, classify, refuse_secrets
from submission.locks.frozen import Frozen
from submission.locks.lockfile import read_lock
from submission.locks.present import stated_digest
from submission.progress.telling import Progress
from submission.readiness.checking import Checked, Checker
from submission.readiness.looks import Looks, Ready
from submission.readiness.outside import outside_of
from submission.settings import Settings
from submission.staging.digest_cache import DigestCache
from submission.staging.hashing import hashed
from submission.staging.local_files import looked_at


class Looking:
    """One look at everything."""

    def __init__(self, *, looks: Looks, settings: Settings, progress: Progress) -> None:
        self._looks = looks
        self._settings = settings
        self._progress = progress
        self._stop = threading.Event()
        self._frozen = None if looks.lock is None else Frozen(read_lock(looks.lock), name=looks.lock.name)

    def look(self, dependencies: Sequence[Dependency]) -> tuple[Ready, list[StagingError]]:
        """Return what the job needs, as far as it is there, and everything that is wrong."""
        checked = self._checked(list(dict.fromkeys(dependencies)))
        problems = [problem for one in checked if (problem := one.problem) is not None]
        good = [one for one in checked if one.error is None]
        try:
            classify([one.dependency for one in good])
        except StagingError as error:
            problems.append(error)
        # A size of 0 is what servers say that do not know HEAD well, and pods would refuse all other bytes.
        known = {one.dependency: Known(size=one.stat.size or None, digest=stated_digest(one.stat)) for one in good}
        if self._frozen is not None:
            known, drift = self._locked(self._frozen, good, known)
            problems += drift
        return Ready(dependencies=tuple(one.dependency for one in good), known=known), problems

    def _checked(self, dependencies: Sequence[Dependency]) -> list[Checked]:
        """Look at each, in their order."""
        found: dict[Dependency, list[Checked]] = {}
        asked = []
        for one in dependencies:
            settled = self._settled(one)
            if settled is None:
                asked.append(one)
            else:
                found[one] = settled
        if asked:
            with outside_of(self._settings) as outside:
                for answer in Checker(Sources(outside), stop=self._stop).check(asked):
                    found.setdefault(answer.named, []).append(answer)
        return [answer for one in dependencies for answer in found.get(one, [])]

    def _settled(self, one: Dependency) -> list[Checked] | None:
        """Return what is known of a dependency without asking for it; None where it has to be asked for."""
        if one.locality is not Locality.REMOTE:
            return None
        if self._looks.remote_is_sparks:
            return [Checked(dependency=one, named=one)]
        try:
            _check_name(one)
            return None if self._looks.remote else [Checked(dependency=file, named=one) for file in self._unasked(one)]
        except InvalidRequest as error:
            return [Checked(dependency=one, named=one, error=error)]

    def _unasked(self, one: Dependency) -> list[Dependency]:
        if not is_pattern(one.uri):
            return [one]
        files = [] if self._frozen is None else self._frozen.files_of(one)
        if not files:
            msg = f"{one} names several files, and which ones is not asked for with --no-check; name each, or lock them"
            raise InvalidRequest(msg)
        return files

    def _locked(
        self, frozen: Frozen, good: Sequence[Checked], known: dict[Dependency, Known]
    ) -> tuple[dict[Dependency, Known], list[StagingError]]:
        """Return what the lock promises, and how what is there differs from it."""
        try:
            known = {**known, **self._local(good)}
        except StagingError as error:
            return known, [error]
        compared = [one for one in good if self._is_locked(one.dependency)]
        drift = [*frozen.drift((one.dependency, one.named, known[one.dependency]) for one in compared)]
        promised = {one.dependency: frozen.promised(one.dependency) or Known() for one in compared}
        return promised, drift

    def _local(self, good: Sequence[Checked]) -> dict[Dependency, Known]:
        files = [looked_at(one.dependency) for one in good if one.dependency.locality is Locality.SUBMITTER_LOCAL]
        cache = DigestCache(self._settings.cache_folder)
        return {
            one.file.dependency: Known(size=one.version.size, digest=one.digest)
            for one in hashed(files, cache=cache, progress=self._progress, stop=self._stop)
        }

    def _is_locked(self, one: Dependency) -> bool:
        """What is in the image already cannot be looked at, nor what Spark fetches by itself."""
        if one.locality is Locality.REMOTE:
            return not self._looks.remote_is_sparks
        return one.locality is Locality.SUBMITTER_LOCAL


def _check_name(one: Dependency) -> None:
    """Refuse a name that cannot be used before anything is sent for it; a glob has no name yet."""
    if is_pattern(one.uri):
        refuse_secrets(one)
    else:
        classify([one])
