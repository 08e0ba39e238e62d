"""What is done with a bundle that is there: its submitter seals, holds and ends it, pods read it."""

from datetime import UTC, datetime, timedelta
from typing import Final

from staging_protocol.api.bundles import Bundle, BundleToken, Lease, Pin, Sealed
from staging_protocol.api.reports import Report
from staging_protocol.errors import InvalidRequest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest
from staging_protocol.owners import OwnerReference, check_owner
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.wire import decode
from staging_server.activity import Activity
from staging_server.bundles.shown import bundle_of
from staging_server.metadata import changes, lookup, rows
from staging_server.metadata.base import Item, Metadata, Operation, one_by_one
from staging_server.metadata.changes import Change
from staging_server.metadata.endings import delete_bundle
from staging_server.metadata.lookup import FileAt
from staging_server.metadata.rows import AnyRow, BundleAt
from staging_server.observer import SILENT, Observer
from staging_server.readers import Readers, StoredFile, require_sealed
from staging_server.retention.known_policies import KnownPolicies
from staging_server.settings import Settings
from staging_server.tenants import Caller, Tenant
from staging_server.times import Clock, utc_now

_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Times after this one are no times any more in some zone."""

_seal = one_by_one(changes.seal)
_bind = one_by_one(changes.bind)
_lease = one_by_one(changes.lease)
_pin = one_by_one(changes.pin)
_unpin = one_by_one(changes.unpin)
_rotate = one_by_one(changes.rotate_token)
_report = one_by_one(changes.add_report)
_delete = one_by_one(delete_bundle)


class Bundles:
    """All operations on one bundle."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        settings: Settings,
        policies: KnownPolicies,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._settings = settings
        self._policies = policies
        self._clock = clock
        self._observer = observer
        self.activity = Activity(metadata=metadata)
        self.readers = Readers(metadata=metadata, clock=clock)

    # --- submitters

    async def seal(self, tenant: Tenant, bundle: BundleId, *, caller: Caller) -> Sealed:
        """Close a bundle to further files.

        Raises:
            FilesMissing: with the names of the files that are.
        """
        sealed = await self._changed(_seal, self._change(tenant, bundle, caller))
        return Sealed(id=sealed.id, manifest_digest=sealed.manifest_digest, expires_at=sealed.expires_at)

    async def bind(self, tenant: Tenant, bundle: BundleId, owner: OwnerReference, *, caller: Caller) -> Bundle:
        """Name the Kubernetes object whose life shall keep the bundle."""
        return await self._changed(_bind, (self._change(tenant, bundle, caller), check_owner(owner)))

    async def lease(self, tenant: Tenant, bundle: BundleId, lease: Lease, *, caller: Caller) -> Bundle:
        """Hold a bundle for some seconds from now, and no longer than the last lease said."""
        policy = self._policies.of(tenant.namespace)
        limit = policy.max_lease.total_seconds()
        if lease.seconds > limit:
            msg = (
                f"a lease may last {limit:.0f} seconds{policy.by('max_lease')}, {lease.seconds} were asked for; "
                "renew it in time"
            )
            raise InvalidRequest(msg)
        change = self._change(tenant, bundle, caller)
        return await self._changed(_lease, (change, change.now + timedelta(seconds=lease.seconds)))

    async def pin(self, tenant: Tenant, bundle: BundleId, pin: Pin, *, caller: Caller) -> Bundle:
        """Hold a bundle with a reason, until a moment or until it is unpinned."""
        change = self._change(tenant, bundle, caller)
        if pin.until is not None and (pin.until.tzinfo is None or not change.now < pin.until < _LAST):
            raise InvalidRequest("`until` must be a time with its zone, in the future and before the year 9999")
        return await self._changed(_pin, (change, pin))

    async def unpin(self, tenant: Tenant, bundle: BundleId, *, caller: Caller) -> Bundle:
        """Take the pin away."""
        return await self._changed(_unpin, self._change(tenant, bundle, caller))

    async def new_token(self, tenant: Tenant, bundle: BundleId, *, caller: Caller) -> BundleToken:
        """Make a new token; the old one stays valid for an overlap."""
        token = Token.generate(TokenKind.BUNDLE, identifier=bundle)
        overlap = timedelta(seconds=self._settings.retention.token_overlap)
        try:
            until = await self._metadata.write(_rotate, (self._change(tenant, bundle, caller), token.hash, overlap))
        finally:
            self.readers.forget()
        return BundleToken(token=token.text, previous_valid_until=until)

    async def delete(self, tenant: Tenant, bundle: BundleId, *, caller: Caller) -> None:
        """End a bundle now, whatever claims it."""
        try:
            await self._metadata.write(_delete, self._change(tenant, bundle, caller))
        finally:
            self.readers.forget()
        self._observer.bundle_ended(reason="deleted")

    # --- pods

    async def open_with_token(self, tenant: Tenant, bundle: BundleId, token: Token) -> None:
        """Return when `token` opens the bundle for reading.

        Raises:
            NotFound: there is no such bundle, or the token is not its token: the same answer after the same work.
            BundleExpired: the token is right, and the bundle has ended.
        """
        await self.readers.open_with_token(BundleAt(tenant, bundle), token)

    async def open_to_pod(self, tenant: Tenant, bundle: BundleId) -> None:
        """Return when the bundle can be read; the caller knows that a live pod carries its label.

        Raises:
            NotFound: there is no such bundle.
            BundleExpired: it has ended.
        """
        await self.readers.open_to_pod(BundleAt(tenant, bundle))

    async def get(self, tenant: Tenant, bundle: BundleId) -> Bundle:
        """Return a bundle as it stands."""
        row = await self._metadata.read(rows.find_bundle, BundleAt(tenant, bundle))
        return bundle_of(row, self._policies.of(tenant.namespace))

    async def manifest(self, tenant: Tenant, bundle: BundleId) -> Manifest:
        """Return what the job needs.

        Raises:
            BundleNotSealed: it is not whole yet.
        """
        return decode(await self.manifest_body(tenant, bundle), into=Manifest)

    async def manifest_body(self, tenant: Tenant, bundle: BundleId) -> bytes:
        """Return the manifest's JSON, byte for byte as it was digested."""
        row = await self._metadata.read(lookup.find_manifest, BundleAt(tenant, bundle))
        require_sealed(row)
        return bytes(row.manifest)

    async def find_file(self, tenant: Tenant, bundle: BundleId, *, kind: Kind, name: FileName) -> StoredFile:
        """Return what a file is and where its bytes lie.

        Raises:
            NotFound: the bundle has no such file.
            BundleNotSealed: it is not whole yet.
        """
        return await self.readers.find_file(FileAt(bundle=BundleAt(tenant, bundle), kind=kind, name=name))

    async def add_report(self, tenant: Tenant, bundle: BundleId, report: Report, *, caller: Caller) -> None:
        """Keep what an init container tells; the newest ones stay."""
        kept = self._settings.limits.reports_per_bundle
        await self._metadata.write(_report, (self._change(tenant, bundle, caller), report, kept))

    async def touch(self, tenant: Tenant, bundle: BundleId, *, caller: Caller | None = None, size: int = 0) -> None:
        """Note that a bundle was used: it lives on, and `caller`'s reads become one audit row a minute."""
        now = self._clock()
        self.activity.note(BundleAt(tenant, bundle), now=now, caller=caller, size=size)
        if self.activity.is_due(now):
            await self.activity.flush_if_possible()

    # --- inside

    def _change(self, tenant: Tenant, bundle: BundleId, caller: Caller) -> Change:
        policy = self._policies.of(tenant.namespace)
        return Change(at=BundleAt(tenant, bundle), caller=caller, now=self._clock(), policy=policy)

    async def _changed(self, operation: Operation[Item, AnyRow], item: Item) -> Bundle:
        row = await self._metadata.write(operation, item)
        return bundle_of(row, self._policies.of(row.namespace))
