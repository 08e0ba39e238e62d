"""The digest of a remote dependency: its bytes are read once and kept nowhere, so memory and disk stay flat.

What breaks off goes on where it stopped if the version is strong, else from the start.  A dependency that changes while
it is read is read once more.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from resolver.checksums import Check, InOrder, check_for
from resolver.retry import Attempts
from resolver.sources.base import Reading, Source, Stat
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, SourceChanged, SourceUnavailable, Terminated, TransientError
from staging_protocol.uris import DependencyUri

_BUFFER: Final = 256 * 1024
"""Bytes, as in the resolver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBytes:
    """What was read: `stat` is of the bytes, with their size."""

    digest: Digest
    stat: Stat


def digest_of(
    uri: DependencyUri,
    *,
    source: Source,
    reached: Callable[[int], None],
    attempts: Attempts,
    stop: threading.Event,
) -> RemoteBytes:
    """Read everything and return its digest; `reached` is told the position.

    Raises:
        DigestMismatch: the bytes are not what the source itself states.
        StagingError: the source does not give them.
        Terminated: `stop` was set.
    """
    hashing, restarts = _Hashing(uri, reached, stop), 0
    while True:
        try:
            hashing.read(source, attempts)
            return hashing.result()
        except SourceChanged:
            restarts += 1
            if restarts > 1:
                raise
            hashing = _Hashing(uri, reached, stop)
        except TransientError as error:
            attempts.wait_after(error)
            if not hashing.can_go_on:
                hashing = _Hashing(uri, reached, stop)


@dataclass(slots=True)
class _Hashing:
    """How far one try is."""

    uri: DependencyUri
    reached: Callable[[int], None]
    stop: threading.Event
    stat: Stat = field(default_factory=Stat)
    at: int = 0
    computed: tuple[Check, InOrder] | None = None

    @property
    def can_go_on(self) -> bool:
        """Whether what comes next surely belongs to what was read."""
        return self.stat.version is not None and self.stat.version.strong

    def read(self, source: Source, attempts: Attempts) -> None:
        """Read from where it is to the end."""
        with source.read(self.uri, version=self.stat.version, start=self.at, stop=None) as reading:
            self._learn(reading)
            view = memoryview(bytearray(_BUFFER))
            skip = self.at - reading.start
            while count := reading.read_into(view):
                if self.stop.is_set():
                    raise Terminated("reading was interrupted")
                self._take(view[min(skip, count) : count])
                skip = max(0, skip - count)
                attempts.progressed()
        if self.stat.size is not None and self.at < self.stat.size:
            msg = f"{self.uri} broke off at byte {self.at}"
            raise SourceUnavailable(msg)

    def result(self) -> RemoteBytes:
        """Return the digest of everything."""
        check, in_order = self._sums()
        sums = in_order.result()
        check.verify(sums, name=str(self.uri))
        assert sums.digest is not None  # noqa: S101 - it was wanted
        return RemoteBytes(digest=sums.digest, stat=Stat(size=self.at, version=self.stat.version))

    def _learn(self, reading: Reading) -> None:
        if not reading.says_its_end:
            msg = f"{self.uri} comes without a size: nobody can tell whether it is whole"
            raise InvalidRequest(msg)
        if self.at and reading.stat.version != self.stat.version:
            msg = f"{self.uri} changed while it was read"
            raise SourceChanged(msg)
        self.stat = reading.stat

    def _take(self, data: memoryview) -> None:
        self._sums()[1].update(data)
        self.at += len(data)
        self.reached(self.at)

    def _sums(self) -> tuple[Check, InOrder]:
        """Return what is computed, which the first answer decides."""
        if self.computed is None:
            check = check_for(self.stat, wanted=True)
            self.computed = check, InOrder(check)
        return self.computed
