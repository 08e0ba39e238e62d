"""What the model test needs of a server: small enough to be the domain itself, or a client over HTTP."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from staging_protocol.api.operators import NamespaceUsage
from staging_protocol.digests import Digest
from staging_protocol.tokens import BundleId
from staging_server.audit import SWEEPER
from staging_server.tenants import Tenant
from tests.staging_server.domain import ALICE, Domain, MovableClock, chunks_of, open_domain


@dataclass(frozen=True, kw_only=True)
class Made:
    """Answer to a create; `wanted` has one entry for each file."""

    id: BundleId
    wanted: tuple[bool, ...]
    sealed: bool


@dataclass(frozen=True, kw_only=True)
class Gone:
    """What a sweep ended and removed."""

    bundles: frozenset[BundleId]
    blobs: frozenset[Digest]


class ModelServer(Protocol):
    """A server whose clock the test moves; files of a bundle are named `0.jar`, `1.jar` and so on."""

    clock: MovableClock

    async def create(self, tenant: str, contents: tuple[bytes, ...], *, key: str | None = None) -> Made: ...
    async def put(self, tenant: str, digest: Digest, size: int, sent: bytes) -> None: ...
    async def seal(self, tenant: str, bundle: BundleId) -> None: ...
    async def read(self, tenant: str, bundle: BundleId, number: int) -> bytes: ...
    async def touch(self, tenant: str, bundle: BundleId) -> None: ...
    async def delete(self, tenant: str, bundle: BundleId) -> None: ...
    async def sweep(self) -> Gone: ...
    async def usage(self, tenant: str) -> NamespaceUsage | None: ...
    async def restart(self) -> None: ...
    async def close(self) -> None: ...


class DomainServer:
    """The domain, without HTTP."""

    def __init__(self, folder: Path) -> None:
        self.clock = MovableClock()
        self._folder = folder
        self._open: contextlib.AsyncExitStack | None = None
        self._opened: Domain | None = None

    async def create(self, tenant: str, contents: tuple[bytes, ...], *, key: str | None = None) -> Made:
        """Create a bundle."""
        made = await (await self._domain()).create(*contents, tenant=Tenant(namespace=tenant), key=key)
        return Made(id=made.id, wanted=tuple(state == "wanted" for state in made.files), sealed=made.sealed)

    async def put(self, tenant: str, digest: Digest, size: int, sent: bytes) -> None:
        """Upload `sent` as the blob `digest`."""
        uploads = (await self._domain()).parts.uploads
        await uploads.put(Tenant(namespace=tenant), digest, size, chunks_of(sent), caller=ALICE)

    async def seal(self, tenant: str, bundle: BundleId) -> None:
        """Seal a bundle."""
        await (await self._domain()).parts.bundles.seal(Tenant(namespace=tenant), bundle, caller=ALICE)

    async def read(self, tenant: str, bundle: BundleId, number: int) -> bytes:
        """Return the bytes of a file."""
        domain = await self._domain()
        return await domain.read(bundle, f"{number}.jar", tenant=Tenant(namespace=tenant))

    async def touch(self, tenant: str, bundle: BundleId) -> None:
        """Use a bundle, as a reading pod does."""
        await (await self._domain()).parts.bundles.touch(Tenant(namespace=tenant), bundle, caller=ALICE, size=1)

    async def delete(self, tenant: str, bundle: BundleId) -> None:
        """End a bundle."""
        await (await self._domain()).parts.bundles.delete(Tenant(namespace=tenant), bundle, caller=ALICE)

    async def sweep(self) -> Gone:
        """Sweep."""
        swept = await (await self._domain()).parts.sweeper.sweep(dry_run=False, caller=SWEEPER)
        return Gone(
            bundles=frozenset(bundle.id for bundle in swept.bundles),
            blobs=frozenset(blob.digest for blob in swept.blobs),
        )

    async def usage(self, tenant: str) -> NamespaceUsage | None:
        """Return the counts of a tenant."""
        usage = await (await self._domain()).parts.overview.usage(Tenant(namespace=tenant))
        return next(iter(usage.namespaces), None)

    async def restart(self) -> None:
        """Close and open again over the same folder."""
        await self.close()

    async def close(self) -> None:
        """Close; the next call opens again."""
        if self._open is not None:
            await self._open.aclose()
        self._open = self._opened = None

    async def _domain(self) -> Domain:
        if self._opened is None:
            # Entered and left by different tasks of one runner, which a stack allows.
            self._open = contextlib.AsyncExitStack()
            opened = open_domain(self._folder, clock=self.clock)
            self._opened = await self._open.enter_async_context(opened)
        return self._opened


def _is_a_server(server: DomainServer) -> ModelServer:
    """Let mypy prove it."""
    return server
