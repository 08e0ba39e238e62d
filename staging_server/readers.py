"""What pods read again and again: whether a token opens a bundle, and where a file's bytes lie.

Both are remembered for a second (`Recent`).  What that may mean is kept small:

- Only a yes comes from memory.  Before a refusal the database is asked, so a new token works at once.
- Whatever ends a bundle or changes its token in this process calls `forget` before it is answered.  Another process
  (a replica, a `sweep` beside the server) is noticed a second later.
- The file of a sealed bundle never changes.
"""

import hmac
from dataclasses import dataclass
from typing import Final

import structlog

from staging_protocol.api.bundles import BundleState
from staging_protocol.digests import Digest
from staging_protocol.errors import BundleNotSealed, InternalError, NoSpace, NotFound, Unavailable
from staging_protocol.tokens import Token
from staging_server.blobs.base import BlobKey
from staging_server.metadata import changes, lookup, rows
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.lookup import FileAt
from staging_server.metadata.rows import AnyRow, BundleAt
from staging_server.recent import Recent
from staging_server.times import Clock, micros

_log: Final = structlog.get_logger("readers")

_REMEMBERED: Final = 1.0
"""Seconds; all executors of a job ask within a few."""

_MOST: Final = 4096
"""Bundles, and files: about 4 MB."""

_NOBODY: Final = "0" * 64
"""Compared with where there is no bundle, so that this takes as long as a wrong token."""

_token_used = one_by_one(changes.note_token_used)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A staged file: what it is, and where its bytes lie in the `BlobStore`."""

    digest: Digest
    size: int
    key: BlobKey


class Readers:
    """Lets pods in, and finds their files."""

    def __init__(self, *, metadata: Metadata, clock: Clock) -> None:
        self._metadata = metadata
        self._clock = clock
        self._access: Recent[BundleAt, AnyRow | None] = Recent(seconds=_REMEMBERED, most=_MOST)
        self._files: Recent[FileAt, StoredFile] = Recent(seconds=_REMEMBERED, most=_MOST)

    def forget(self) -> None:
        """Ask the database again: some bundle has ended or has a new token."""
        self._access.forget()
        self._files.forget()

    async def open_with_token(self, at: BundleAt, token: Token) -> None:
        """Return when `token` opens the bundle for reading.

        Raises:
            NotFound: there is no such bundle, or the token is not its token: the same answer after the same work.
            BundleExpired: the token is right, and the bundle has ended.
        """
        digest = token.hash
        access = await self._access.ask(at, lambda: self._find_access(at))
        if access is None or access.ended_at is not None or not self._fits(access, digest):
            access = await self._find_access(at)
        fits = self._fits(access, digest)
        if access is None or not fits:
            raise NotFound("there is no such bundle, or the token does not open it")
        if access.ended_at is not None:
            raise rows.expired(access.ended_at, access.reason)
        if access.token_hash == digest and not access.token_used:
            await self._note_use(access.number, digest)

    async def open_to_pod(self, at: BundleAt) -> None:
        """Return when there is such a bundle; the caller knows that a live pod carries its label.

        Raises:
            NotFound: there is none.
            BundleExpired: it has ended.
        """
        access = await self._access.ask(at, lambda: self._find_access(at))
        if access is None or access.ended_at is not None:
            access = await self._find_access(at)
        if access is None:
            raise NotFound("there is no such bundle")
        if access.ended_at is not None:
            raise rows.expired(access.ended_at, access.reason)

    async def find_file(self, file: FileAt) -> StoredFile:
        """Return what a file is and where its bytes lie.

        Raises:
            NotFound: the bundle has no such file.
            BundleNotSealed: it is not whole yet.
        """
        return await self._files.ask(file, lambda: self._find_file(file))

    async def _note_use(self, number: int, digest: str) -> None:
        try:
            await self._metadata.write(_token_used, (number, digest))
        except (NoSpace, Unavailable) as error:
            # Pods have to read while nothing can be written, too; an unused token is voided by a repeated create only.
            _log.warning("token.use-not-noted", code=error.code, detail=error.detail)
        else:
            self._access.forget()

    async def _find_access(self, at: BundleAt) -> AnyRow | None:
        return await self._metadata.read(lookup.find_access, at)

    async def _find_file(self, file: FileAt) -> StoredFile:
        row = await self._metadata.read(lookup.find_file, file)
        require_sealed(row)
        if row.key is None:
            # Rows forbid it; if a back-up was put together from two times, say what is wrong.
            raise InternalError("the bytes of this file are gone from the server")
        return StoredFile(digest=Digest(row.digest), size=row.size, key=BlobKey(row.key))

    def _fits(self, access: AnyRow | None, digest: str) -> bool:
        """Tell whether the token is the present one, or an earlier one that is still valid."""
        present = hmac.compare_digest(digest, _NOBODY if access is None else access.token_hash)
        old = hmac.compare_digest(digest, (access and access.old_token_hash) or _NOBODY)
        return present or (old and access is not None and self._is_valid(access.old_token_until))

    def _is_valid(self, until: int | None) -> bool:
        """Tell whether an earlier token still opens; without an end it does, because it was replaced while in use."""
        return until is None or micros(self._clock()) < until


def require_sealed(row: AnyRow) -> None:
    """Raise BundleNotSealed unless the bundle of `row` is whole."""
    if row.state != BundleState.SEALED:
        raise BundleNotSealed("the bundle is not sealed yet; its files are still coming")
