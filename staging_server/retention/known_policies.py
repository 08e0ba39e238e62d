"""The policies that a running server knows: those of its file, as it is now.

The file is read again when it changes.  When the new one is not valid the old policies stay, and a metric counts: a
slip of an editor must not end anybody's bundle.
"""

from pathlib import Path
from typing import Final

import structlog

from staging_protocol.errors import InvalidRequest
from staging_server.followed import Followed
from staging_server.observer import SILENT, Observer
from staging_server.retention.policies import Policies, Policy, parse_policies, policy_of
from staging_server.settings import Settings

_log: Final = structlog.get_logger("policies")


class KnownPolicies:
    """The policies of the settings and their file, kept up to date by `watch`."""

    def __init__(self, settings: Settings, *, observer: Observer = SILENT) -> None:
        """Read the file; raises InvalidRequest.  Waits for the disk."""
        self._base = policy_of(settings)
        self._path = settings.retention.policies_file
        self._every = settings.retention.reload_every
        self._observer = observer
        self._file = None if self._path is None else Followed(self._path)
        self.now = self._read()
        """The policies as they are now; a sweep takes them once."""

    def of(self, namespace: str) -> Policy:
        """Return the policy of a namespace, as it is now."""
        return self.now.of(namespace)

    async def watch(self) -> None:
        """Read the file again whenever it changes; until cancelled."""
        if self._file is not None:
            await self._file.watch(self._take, refused=self._complain, every=self._every)

    def _take(self) -> None:
        self.now = self._read()
        _log.info("policies file reloaded", file=str(self._path))

    def _complain(self, error: InvalidRequest) -> None:
        self._observer.policies_refused()
        _log.error("policies file not reloaded, the old policies stay", detail=error.detail)

    def _read(self) -> Policies:
        if self._path is None:
            return Policies(self._base)
        return parse_policies(read_text(self._path), base=self._base, name=f"the policies file {self._path}")


def read_text(path: Path) -> str:
    """Return what is in a policies file; raises InvalidRequest.  Waits for the disk."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the policies file {path} cannot be read: {error}"
        raise InvalidRequest(msg) from error
