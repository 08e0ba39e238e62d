"""Dependencies that are fetched from elsewhere: `mirrors` of `sources.json`, tried in order.

What is not found, denied or unavailable at one mirror is asked for at the next, at once.  A dependency stays with the
mirror that answered, because versions and bytes of two mirrors do not go together.  When that one gives up in the
middle, twice at the same place or five times in one part, the dependency counts as changed: the engine begins again, at
the next one.  So it does when it begins again by itself, because the bytes were not what they should be.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain, islice
from threading import Lock
from typing import Final, NoReturn, TypeVar

import msgspec

from resolver.mirrors import moved
from resolver.policy import EgressPolicy
from resolver.sources.base import Identified, Listed, Lists, Reading, Source, Stat, Version
from resolver.sources.opened import Opened
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    PeerNotTrusted,
    RefusedByPolicy,
    SourceChanged,
    SourceUnavailable,
    StagingError,
    TransientError,
    Unauthenticated,
)
from staging_protocol.sources import Mirror
from staging_protocol.uris import DependencyUri

T = TypeVar("T")

_PERMANENT: Final = (Denied, Unauthenticated, PeerNotTrusted, RefusedByPolicy, NotFound)
"""What one mirror may say and another not; the first ones tell a person more than the last."""

_TRIES: Final = 2
"""How often a mirror is asked for the same place in the middle of a dependency."""

_TRIES_OF_A_PART: Final = 5
"""How often it is asked for the rest of one part, when a little more comes each time."""


class _State(msgspec.Struct):
    """Where a dependency comes from, and what was asked for there.

    Attributes:
        index: number of the mirror.
        is_answered: whether it answered.
        is_begun: whether it was read from the start.
        has_version: whether it gave a version, so that who reads without one begins anew.
        asked: how often which position was asked for.
        ends: the same for the position before which to end, which is that of a part however far it came.
    """

    index: int = 0
    is_answered: bool = False
    is_begun: bool = False
    has_version: bool = False
    asked: Counter[int] = msgspec.field(default_factory=Counter)
    ends: Counter[int | None] = msgspec.field(default_factory=Counter)


class MirroredSource:
    """Reads what begins with the prefix of one mirror."""

    def __init__(self, mirror: Mirror, targets: Sequence[tuple[str, Source]]) -> None:
        """Take what replaces the prefix, each with its source."""
        self._prefix = mirror.prefix
        self._targets = targets
        self._states: dict[str, _State] = {}
        self._lock = Lock()

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask one mirror after another."""
        return self._first(uri, lambda source, there: source.stat(there))

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Read from the first mirror that answers; from the same one, once it did."""

        def opened(source: Source, there: DependencyUri) -> AbstractContextManager[Reading]:
            return Opened(source.read(there, version=version, start=start, stop=stop))

        state = self._state(uri)
        begins = version is None and start == 0 and (state.has_version or not state.asked)
        if state.is_answered and not begins:
            state.has_version = state.has_version or version is not None
            return self._same(uri, opened, start=start, stop=stop)
        if begins and state.is_begun:
            self._begin(uri, _State((state.index + 1) % len(self._targets)))
        found = self._first(uri, opened)
        self._state(uri).is_begun = True
        return found

    def list(self, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
        """List at the first mirror that can.

        Raises:
            InvalidRequest: none can.
        """

        def first_page(source: Source, there: DependencyUri) -> Iterator[Listed]:
            if not isinstance(source, Lists):
                msg = f"{there} cannot be listed"
                raise NotFound(msg)
            found = source.list(there, deep=deep)
            return chain(list(islice(found, 1)), found)

        if not any(isinstance(source, Lists) for _, source in self._targets):
            msg = f"{uri} names several dependencies, and no mirror of it can be listed"
            raise InvalidRequest(msg)
        found = self._first(uri, first_page)
        target = self._targets[self._state(uri).index][0]
        for listed in found:
            back = moved(listed.uri.text, prefix=target, to=self._prefix)
            yield msgspec.structs.replace(listed, uri=DependencyUri.parse(back))

    def place(self, uri: DependencyUri) -> DependencyUri:
        """Return where `uri` was answered last; where it will be asked for first, before that."""
        return self._there(uri, self._state(uri).index)

    def identity(self, uri: DependencyUri) -> str:
        """Return as whom that mirror is asked; nothing where it does not say."""
        source = self._targets[self._state(uri).index][1]
        return source.identity(self.place(uri)) if isinstance(source, Identified) else ""

    def _first(self, uri: DependencyUri, ask: Callable[[Source, DependencyUri], T]) -> T:
        begin, failures = self._state(uri).index, []
        for index in (*range(begin, len(self._targets)), *range(begin)):
            there = self._there(uri, index)
            try:
                found = ask(self._targets[index][1], there)
            except SourceChanged:
                raise
            except (TransientError, *_PERMANENT) as error:
                failures.append((there, error))
            else:
                if begin != index or not self._state(uri).is_answered:
                    self._begin(uri, _State(index, is_answered=True))
                return found
        raise _all_failed(uri, failures)

    def _same(
        self, uri: DependencyUri, ask: Callable[[Source, DependencyUri], T], *, start: int, stop: int | None
    ) -> T:
        state = self._state(uri)
        index, is_only = state.index, len(self._targets) == 1
        with self._lock:
            state.asked[start] += 1
            state.ends[stop] += 1
            tries = state.asked[start]
            is_spent = tries > _TRIES or state.ends[stop] > _TRIES_OF_A_PART
        if is_spent and not is_only:
            self._leave(uri, index, why=None)
        try:
            return ask(self._targets[index][1], self._there(uri, index))
        except SourceChanged:
            raise
        except TransientError as error:
            if tries < _TRIES or is_only:
                raise
            self._leave(uri, index, why=error)
        except _PERMANENT as error:
            if is_only:
                raise
            self._leave(uri, index, why=error)

    def _state(self, uri: DependencyUri) -> _State:
        with self._lock:
            return self._states.setdefault(uri.without_fragment, _State())

    def _begin(self, uri: DependencyUri, state: _State) -> None:
        with self._lock:
            self._states[uri.without_fragment] = state

    def _leave(self, uri: DependencyUri, index: int, *, why: StagingError | None) -> NoReturn:
        self._begin(uri, _State((index + 1) % len(self._targets)))
        reason = "its bytes break off" if why is None else why.detail
        msg = f"{uri} is fetched from the next mirror, because {self._there(uri, index)} gave up: {reason}"
        raise SourceChanged(msg) from why

    def _there(self, uri: DependencyUri, index: int) -> DependencyUri:
        return DependencyUri.parse(moved(uri.without_fragment, prefix=self._prefix, to=self._targets[index][0]))


def admitted_targets(mirror: Mirror, *, policy: EgressPolicy | None) -> list[tuple[str, DependencyUri]]:
    """Return what may replace the prefix, as text and as the URI of something there.

    Raises:
        RefusedByPolicy: the rules of egress admit none.
        InvalidRequest: one is no URI.
    """
    found, failures = [], []
    for text in mirror.to:
        uri = DependencyUri.parse(moved(f"{mirror.prefix}/x", prefix=mirror.prefix, to=text))
        try:
            if policy is not None:
                policy.check_uri(uri)
        except RefusedByPolicy as error:
            failures.append(error.detail)
        else:
            found.append((text, uri))
    if not found:
        msg = f"no mirror of {mirror.prefix} may be used: {'; '.join(failures)}"
        raise RefusedByPolicy(msg)
    return found


def _all_failed(uri: DependencyUri, failures: Sequence[tuple[DependencyUri, StagingError]]) -> StagingError:
    reasons = "; ".join(f"{there}: {error.detail}" for there, error in failures)
    detail = f"no mirror gives {uri}: {reasons}"
    errors = [error for _, error in failures]
    if any(error.retryable for error in errors):
        waits = [error.retry_after or 0.0 for error in errors if error.retryable]
        return SourceUnavailable(detail, retry_after=min(waits) or None)
    kind = next(kind for kind in _PERMANENT if any(isinstance(error, kind) for error in errors))
    return kind(detail)


_source: type[Source] = MirroredSource
_lists: type[Lists] = MirroredSource
_identified: type[Identified] = MirroredSource
