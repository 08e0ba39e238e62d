"""What the resolver needs of a place that dependencies come from.

A source translates one service's protocol and nothing else: it never retries, never logs, keeps no state about a
download, and raises our errors only.  Retrying, digests, files and progress belong to the engine.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol, runtime_checkable

import msgspec

from staging_protocol.digests import Digest
from staging_protocol.uris import DependencyUri


class Version(msgspec.Struct, frozen=True):
    """Names one state of a dependency: an entity tag, a generation, or size and time of change.

    A `strong` version changes whenever a byte changes, so bytes of two runs can be put together.  With a weak one that
    holds within one download only, and only as a help: equal versions mean "probably the same".
    """

    text: str
    strong: bool


Algorithm = Literal["sha256", "sha1", "md5", "crc32", "crc32c"]


class Checksum(msgspec.Struct, frozen=True, kw_only=True):
    """What a source states about the bytes besides SHA-256 of the whole, which is a `Digest`.

    With `parts`, `value` is the checksum of the checksums of pieces of these sizes in bytes, one after another (what S3
    calls composite); without, of all bytes.  `value` is big-endian.
    """

    algorithm: Algorithm
    value: bytes
    parts: tuple[int, ...] = ()


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says about a dependency; None where it does not say.

    `says_less` tells that this answer to a read does not state the checksums that `Source.stat` states; then that is
    asked for a file in parts.  `unpinned` tells that reads do not notice when the dependency changes; then it is asked
    again at the end whether it still has the version that it had.
    """

    size: int | None = None
    version: Version | None = None
    digest: Digest | None = None
    checksums: tuple[Checksum, ...] = ()
    says_less: bool = False
    unpinned: bool = False


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency in a listing."""

    uri: DependencyUri
    stat: Stat


class Reading(Protocol):
    """Bytes on their way.  `start` is the position of the first one, which is 0 where a source knows no ranges."""

    @property
    def stat(self) -> Stat:
        """What the source said with this answer."""

    @property
    def start(self) -> int:
        """Position in the dependency of the first byte that comes."""

    @property
    def stop(self) -> int | None:
        """Position after the last byte that comes; None where the source did not announce it."""

    @property
    def says_its_end(self) -> bool:
        """Whether bytes that broke off can be told from ones that ended; False where only the connection's end ends."""

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer`; less than its size means that the bytes end.

        Raises:
            SourceUnavailable: the bytes broke off before `stop`.
        """


class _NoBytes(msgspec.Struct, frozen=True, kw_only=True):
    stat: Stat
    start: int
    stop: int
    says_its_end: bool = True

    def read_into(self, buffer: memoryview) -> int:  # noqa: ARG002 - there is nothing to put into it
        return 0


def no_bytes(stat: Stat, *, at: int) -> AbstractContextManager[Reading]:
    """Return a reading of what lies behind the last byte, which is before position `at`."""
    return nullcontext(_NoBytes(stat=stat, start=at, stop=at))


class Source(Protocol):
    """A place of dependencies, for one or several schemes.  Safe to use from several threads.

    Both methods raise NotFound, Denied, Unauthenticated, RefusedByPolicy or InvalidRequest for what trying again does
    not change, and a TransientError, with `retry_after` where the service said so, for what may pass.
    """

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask what the dependency is, without its bytes."""

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Open the bytes from `start` to `stop` (exclusive; None: to the end) of that version.

        The answer may begin earlier or end later or earlier than asked; its `start` and `stop` say so.
        Asking from behind the last byte of a dependency gives a reading of no bytes.

        Raises:
            SourceChanged: the dependency has another version now.
        """


@runtime_checkable
class Lists(Protocol):
    """A source that knows what is in a folder."""

    def list(self, uri: DependencyUri, *, deep: bool) -> Iterator[Listed]:
        """Give every dependency whose URI begins with `uri`, in any order, page by page as they are asked for.

        The path of `uri` up to its last slash is a folder; what follows is the beginning of names in it.  Without
        `deep` only what lies in that folder itself is given.  Folders themselves are not, nor the empty objects that
        stand for folders in some stores.  Names are whatever the service has: the caller does not trust them.

        Raises:
            NotFound: there is no such bucket, or, where the service knows folders, no such folder.
        """


@runtime_checkable
class Identified(Protocol):
    """A source that asks as somebody."""

    def identity(self, uri: DependencyUri) -> str:
        """Return in a few words, without a secret, as whom it asks for `uri`, and where that was found."""
