"""`--frozen`: nothing is used but what the lock has, byte for byte.  Pure.

What the lock does not allow (a dependency that it does not name, another target) is refused by the policy that the
person set; other bytes than the locked ones are a digest mismatch, as they would be in a pod.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from staging_protocol.errors import DigestMismatch, RefusedByPolicy, StagingError
from staging_protocol.manifest import Manifest, ManifestEntry
from staging_protocol.uris import STAGED_SCHEME, DependencyUri, Locality
from submission.classify import Dependency, Known
from submission.locks.changes import changes_of_content
from submission.locks.lockfile import Key, Lock, Locked
from submission.problems import together


class Frozen:
    """What a lock allows."""

    def __init__(self, lock: Lock, *, name: str) -> None:
        """`name` of the file is for messages."""
        self._name = name
        self._locked = lock.by_key
        self._by: defaultdict[Key, list[Locked]] = defaultdict(list)
        for one in lock.entries:
            self._by[one.by].append(one)

    def files_of(self, named: Dependency) -> list[Dependency]:
        """Return the files that `named` named when it was locked."""
        locked = self._by.get((named.kind, named.uri.text), [])
        return [
            replace(named, uri=replace(DependencyUri.parse(one.uri), fragment=named.uri.fragment)) for one in locked
        ]

    def promised(self, dependency: Dependency) -> Known | None:
        """Return what the lock promises about a dependency."""
        locked = self._locked.get(_key(dependency))
        return None if locked is None else Known(size=locked.size, digest=locked.digest)

    def drift(self, now: Iterable[tuple[Dependency, Dependency, Known]]) -> Iterator[StagingError]:
        """Yield how what is there differs from the lock; each item is a file, who named it, and what is known of it."""
        seen: set[Key] = set()
        named: dict[Key, Dependency] = {}
        for dependency, its_name, known in now:
            seen.add(_key(dependency))
            named[its_name.kind, its_name.uri.text] = its_name
            yield from self._differs(dependency, known)
        for key, its_name in named.items():
            for one in self._by.get(key, []):
                if one.key not in seen:
                    yield RefusedByPolicy(f"{one} is in {self._name}, and {its_name} does not name it any more")

    def manifest(self, manifest: Manifest) -> Manifest:
        """Return a manifest with the digests that were locked, and with the files for what names several.

        Raises:
            StagingError: what the lock does not allow, all of it.
        """
        entries: list[ManifestEntry] = []
        drift: list[StagingError] = []
        for entry in manifest.entries:
            uri = DependencyUri.parse(entry.uri)
            locked = self._of_entry(entry, uri)
            several = self._by.get((entry.kind, entry.uri), []) if locked is None else []
            if uri.locality is Locality.CONTAINER_LOCAL:
                entries.append(entry)
            elif several:
                entries += [one.entry for one in several]
            else:
                known = Known(size=entry.size, digest=entry.digest)
                drift += self._against(locked, str(uri), target=entry.target, known=known)
                entries += [] if locked is None else [msgspec.structs.replace(locked.entry, uri=entry.uri)]
        if drift:
            raise together(drift, what=f"{self._name} does not allow this")
        return msgspec.structs.replace(manifest, entries=tuple(entries))

    def _of_entry(self, entry: ManifestEntry, uri: DependencyUri) -> Locked | None:
        if uri.scheme != STAGED_SCHEME:
            return self._locked.get((entry.kind, entry.uri))
        # The bundle does not know where the file was on the submitter's disk.
        same = (one for one in self._locked.values() if (one.kind, one.target) == (entry.kind, entry.target))
        return next(same, None)

    def _differs(self, dependency: Dependency, known: Known) -> Iterator[StagingError]:
        locked = self._locked.get(_key(dependency))
        yield from self._against(locked, str(dependency), target=dependency.target, known=known)

    def _against(self, locked: Locked | None, name: str, *, target: str, known: Known) -> Iterator[StagingError]:
        if locked is None:
            yield RefusedByPolicy(f"{name} is not in {self._name}")
            return
        if locked.target != target:
            yield RefusedByPolicy(f"{name} is to be named {target}; in {self._name} it is {locked.target}")
        now = Locked(uri=locked.uri, kind=locked.kind, target=locked.target, size=known.size, digest=known.digest)
        if found := changes_of_content(locked, now):
            how = ", ".join(map(str, found))
            yield DigestMismatch(f"{name} is not what {self._name} has: {how}")


def _key(dependency: Dependency) -> Key:
    return dependency.kind, dependency.uri.without_fragment
