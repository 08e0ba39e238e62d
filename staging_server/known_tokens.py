"""The access tokens that a running server knows: those of the file, as it is now.

The file is read again when it changes.  When the new one is not valid the old tokens stay, so a slip of an editor locks
nobody out.
"""

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import Token
from staging_server.access_tokens import AccessToken, TokensFile, read_tokens
from staging_server.followed import Followed

_log: Final = structlog.get_logger("access_tokens")


class AccessTokens:
    """The tokens of a file, kept up to date by `watch`."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Read the file; raises InvalidRequest.  Waits for the disk."""
        self._path = path
        self._clock = clock
        self._file = Followed(path)
        self._by_id = _index(read_tokens(path))

    def find(self, token: Token) -> AccessToken | None:
        """Return the entry of `token` when its secret is right and its time not over."""
        entry = self._by_id.get(token.id)
        # The same work for an unknown id and a wrong secret.
        right = hmac.compare_digest(token.hash, "" if entry is None else entry.hash)
        if entry is None or not right or entry.has_expired(now=self._clock()):
            return None
        return entry

    async def watch(self, *, every: float) -> None:
        """Read the file again whenever it changes; until cancelled."""
        await self._file.watch(self._take, refused=_complain, every=every)

    def _take(self) -> None:
        self._by_id = _index(read_tokens(self._path))
        _log.info("tokens file reloaded", tokens=len(self._by_id))


def _complain(error: InvalidRequest) -> None:
    _log.error("tokens file not reloaded, the old tokens stay valid", detail=error.detail)


def _index(content: TokensFile) -> dict[str, AccessToken]:
    return {entry.id: entry for entry in content.tokens}
