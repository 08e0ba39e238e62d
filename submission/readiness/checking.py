"""Dependencies looked at where they are, before anything is created.

A remote one is asked for by one HEAD, several at a time; a glob or a folder is listed instead and becomes the files
that it names.  A submitter-local one is opened.  What fails in passing is tried once more and no more: a person who
mistyped a name waits for the answer.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar, runtime_checkable

from resolver.expand import expand, is_pattern
from resolver.sources.base import Identified, Source, Stat
from resolver.sources.choose import Sources
from staging_protocol.errors import StagingError, TransientError
from staging_protocol.uris import DependencyUri, Locality
from submission import parallel
from submission.classify import Dependency
from submission.staging import local_files

T = TypeVar("T")

_AT_ONCE: Final = 16
"""Requests on their way, as many as the resolver has."""

_WAIT: Final = 0.3
"""Seconds before the second try."""

_LONGEST_WAIT: Final = 5.0
"""Seconds; a source that asks for more is told about instead."""


@runtime_checkable
class Placed(Protocol):
    """A source that looks for a dependency in several places."""

    def place(self, uri: DependencyUri) -> DependencyUri:
        """Return where `uri` was found; `uri` itself where no mirror is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found out about one dependency.

    Attributes:
        dependency: one file; as it was named where it could not be found out which files that are.
        named: as it was named.
        stat: what its source says.
        place: the mirror that has it.
        identity: as whom it was asked for.
        error: why it cannot be used.
    """

    dependency: Dependency
    named: Dependency
    stat: Stat = field(default_factory=Stat)
    place: DependencyUri | None = None
    identity: str = ""
    error: StagingError | None = None

    @property
    def problem(self) -> StagingError | None:
        """The error, with the dependency and who named it, as far as its source did not say that."""
        if self.error is None or str(self.named) in self.error.detail:
            return self.error
        who = self.named.named_by if str(self.dependency.uri) in self.error.detail else str(self.dependency)
        return type(self.error)(f"{who}: {self.error.detail}")


class Checker:
    """Looks at dependencies."""

    def __init__(self, sources: Sources, *, stop: threading.Event, identify: bool = False) -> None:
        """`identify` also finds out as whom a source asks, which may take a request of its own."""
        self._sources = sources
        self._stop = stop
        self._identify = identify

    def check(self, dependencies: Sequence[Dependency]) -> list[Checked]:
        """Return everything that the dependencies name, in their order, each with what is wrong with it."""
        ways = [self._way(dependency) for dependency in dependencies]
        found = parallel.each(ways, lambda way: way(), at_once=_AT_ONCE, stop=self._stop)
        return [one for several in found for one in several]

    def _way(self, dependency: Dependency) -> Callable[[], list[Checked]]:
        """Return what looks at it; sources are made here, by one thread."""
        match dependency.locality:
            case Locality.SUBMITTER_LOCAL:
                return lambda: _local(dependency)
            case Locality.CONTAINER_LOCAL:
                return lambda: [Checked(dependency=dependency, named=dependency)]
            case Locality.REMOTE:
                pass
        try:
            source = self._sources.source_of(dependency.uri)
        except StagingError as error:
            refused = [Checked(dependency=dependency, named=dependency, error=error)]
            return lambda: refused
        return lambda: self._remote(dependency, source)

    def _remote(self, named: Dependency, source: Source) -> list[Checked]:
        identity = self._identity(named.uri, source)
        try:
            if is_pattern(named.uri):
                return [replace(one, identity=identity) for one in self._listed(named, source)]
            stat = self._twice(lambda: source.stat(named.uri))
        except StagingError as error:
            return [Checked(dependency=named, named=named, identity=identity, error=error)]
        place = source.place(named.uri) if isinstance(source, Placed) else named.uri
        return [
            Checked(
                dependency=named, named=named, stat=stat, identity=identity, place=None if place == named.uri else place
            )
        ]

    def _listed(self, named: Dependency, source: Source) -> list[Checked]:
        """Return what a glob or a folder names; what the listing says of each is enough."""
        found = self._twice(lambda: expand(named.uri, source=source))
        return [Checked(dependency=replace(named, uri=one.uri), named=named, stat=one.stat) for one in found]

    def _identity(self, uri: DependencyUri, source: Source) -> str:
        if not self._identify or not isinstance(source, Identified):
            return ""
        try:
            return source.identity(uri)
        except StagingError:  # the request itself says why
            return ""

    def _twice(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except TransientError as error:
            wait = error.retry_after or _WAIT
            if wait > _LONGEST_WAIT or self._stop.wait(wait):
                raise
        return call()


def _local(named: Dependency) -> list[Checked]:
    try:
        several = local_files.expanded(named)
    except StagingError as error:
        return [Checked(dependency=named, named=named, error=error)]
    return [_opened(one, named) for one in several]


def _opened(dependency: Dependency, named: Dependency) -> Checked:
    try:
        file = local_files.looked_at(dependency)
    except StagingError as error:
        return Checked(dependency=dependency, named=named, error=error)
    return Checked(dependency=dependency, named=named, stat=Stat(size=file.version.size))
