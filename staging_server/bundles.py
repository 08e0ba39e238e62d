"""What can be done with bundles: the rules between the HTTP handlers and the database.

Every method takes the tenant of the request, and only ever finds what is this tenant's.  A bundle that has ended is
`BundleExpired` (410) for whoever may know of it, with the time and the reason from its tombstone.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from staging_protocol.api import (
    Bundle,
    BundlePage,
    BundleState,
    BundleToken,
    CreatedBundle,
    Explanation,
    FileState,
    Lease,
    NamespaceUsage,
    NewBundle,
    Pin,
    PodEndpoint,
    ReceivedReport,
    Report,
    Sealed,
    Usage,
)
from staging_protocol.errors import (
    InvalidRequest,
    RequestInProgress,
)
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest
from staging_protocol.owners import OwnerReference, check_owner
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.wire import decode, encode
from staging_server.activity import Activity
from staging_server.drafts import Draft, Drafts
from staging_server.metadata import changes, lookup, rows, usage
from staging_server.metadata.base import Item, Metadata, Operation, one_by_one
from staging_server.metadata.changes import Change
from staging_server.metadata.creation import Created, NewBundleRow, create_bundles
from staging_server.metadata.endings import delete_bundle
from staging_server.metadata.lookup import FileAt, PageOf
from staging_server.metadata.rows import AnyRow, BundleAt
from staging_server.observer import SILENT, Observer
from staging_server.readers import Readers, StoredFile, require_sealed
from staging_server.retention import Facts, Owner, Policy, decide
from staging_server.settings import RetentionSettings, Settings
from staging_server.tenants import Caller, Tenant
from staging_server.times import Clock, moment_of, utc_now

_MICROSECOND: Final = timedelta(microseconds=1)
_CURSOR: Final = 19
"""Most digits of a cursor: those of 2**63."""

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
    """All operations on bundles."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        settings: Settings,
        pods: PodEndpoint,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._settings = settings
        self._policy = policy_of(settings.retention)
        self._drafts = Drafts(limits=settings.limits, retention=settings.retention)
        self._pods = pods
        self._clock = clock
        self._observer = observer
        self._creating: set[str] = set()
        self.activity = Activity(metadata=metadata)
        self.readers = Readers(metadata=metadata, clock=clock)

    # --- submitters

    async def create(
        self, tenant: Tenant, body: NewBundle, *, caller: Caller, idempotency_key: str | None, body_hash: str
    ) -> CreatedBundle:
        """Make a bundle, or answer again for a key that was used before; `body_hash` is of the body's bytes.

        Raises:
            RequestInProgress: a request with this key is running.
            StagingError: what `drafts.draft` and `metadata.creation.create_bundles` raise.
        """
        scope = None if idempotency_key is None else _scope(tenant, caller, idempotency_key)
        plan = self._drafts.of(body)
        if scope is None:
            return await self._create(tenant, body, plan, caller=caller, scope=None, body_hash=body_hash)
        if scope in self._creating:
            raise RequestInProgress("a request with this Idempotency-Key is still running", retry_after=1)
        self._creating.add(scope)
        try:
            return await self._create(tenant, body, plan, caller=caller, scope=scope, body_hash=body_hash)
        finally:
            self._creating.discard(scope)

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
        limit = self._settings.retention.max_lease
        if lease.seconds > limit:
            msg = f"a lease may last {limit:.0f} seconds, {lease.seconds} were asked for; renew it in time"
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

    async def get(self, tenant: Tenant, bundle: BundleId) -> Bundle:
        """Return a bundle as it stands."""
        return rows.bundle_of(await self._metadata.read(rows.find_bundle, BundleAt(tenant, bundle)), self._policy)

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

    # --- operators

    async def list(
        self,
        tenant: Tenant | None,
        *,
        cursor: str | None,
        limit: int,
        application: str | None = None,
        state: BundleState | None = None,
    ) -> BundlePage:
        """Return a page of the bundles of a tenant, or of all, newest first."""
        at_most = min(limit, self._settings.limits.page_size)
        page = PageOf(tenant=tenant, before=_number_of(cursor), limit=at_most, application=application, state=state)
        found = await self._metadata.read(lookup.find_page, page)
        shown = found[:at_most]
        return BundlePage(
            bundles=tuple(rows.bundle_of(row, self._policy) for row in shown),
            next=str(shown[-1].number) if len(found) > at_most else None,
        )

    async def explain(self, tenant: Tenant, bundle: BundleId) -> Explanation:
        """Return every claim on a bundle, in words, and the reports of its pods."""
        row = await self._metadata.read(rows.find_bundle, BundleAt(tenant, bundle))
        reports = await self._metadata.read(lookup.find_reports, row.number)
        decision = decide(rows.facts_of(row), self._policy, self._clock())
        return Explanation(
            bundle=rows.bundle_of(row, self._policy),
            verdict=("it stays: " if decision.keep else "the next sweep ends it: ") + decision.reason,
            claims=decision.claims,
            reports=tuple(
                ReceivedReport(received_at=moment_of(report.received_at), report=decode(report.body, into=Report))
                for report in reports
            ),
        )

    async def usage(self, tenant: Tenant | None) -> Usage:
        """Return bytes and counts of a tenant, or of all."""
        counts = await self._metadata.read(usage.find_usage, tenant)
        quota = self._settings.limits.namespace_size
        return Usage(
            namespaces=tuple(_namespace_usage(row, quota=quota) for row in counts.tenants),
            blobs=counts.blobs,
            stored_size=counts.stored_size,
        )

    # --- inside

    async def _create(
        self,
        tenant: Tenant,
        body: NewBundle,
        plan: Draft,
        *,
        caller: Caller,
        scope: str | None,
        body_hash: str,
    ) -> CreatedBundle:
        now = self._clock()
        bundle = BundleId.generate()
        facts = Facts(
            created_at=now,
            last_activity_at=now,
            time_to_live=plan.time_to_live,
            owner=None if body.owner is None else Owner(reference=body.owner),
        )
        row = NewBundleRow(
            id=bundle,
            tenant=tenant,
            caller=caller,
            now=now,
            next_check=decide(facts, self._policy, now).until,
            application=body.application,
            files=body.files,
            size=plan.size,
            time_to_live=None if plan.time_to_live is None else plan.time_to_live // _MICROSECOND,
            owner=None if body.owner is None else encode(body.owner).decode(),
            token=Token.generate(TokenKind.BUNDLE, identifier=bundle),
            manifest=plan.manifest,
            manifest_digest=plan.manifest_digest,
            scope=scope,
            body_hash=body_hash,
            max_bundles=self._settings.limits.bundles_per_namespace,
            quota=self._settings.limits.namespace_size,
        )
        created = await self._metadata.write(create_bundles, row)
        if created.row is None:
            wanted = sum(file.size for file in body.files if file.digest in created.wanted)
            self._observer.bundle_created(held=plan.size - wanted, wanted=wanted)
        else:
            # The token of the first answer may be void now.
            self.readers.forget()
        return self._answer(body, plan, created, expires_at=row.next_check)

    def _answer(self, body: NewBundle, plan: Draft, created: Created, *, expires_at: datetime | None) -> CreatedBundle:
        again = None if created.row is None else rows.bundle_of(created.row, self._policy).expires_at
        return CreatedBundle(
            id=created.id,
            token=created.token.text,
            sealed=created.sealed,
            expires_at=again or expires_at or self._clock(),
            files=tuple(FileState.WANTED if file.digest in created.wanted else FileState.HELD for file in body.files),
            manifest_digest=plan.manifest_digest,
            pods=self._pods,
        )

    def _change(self, tenant: Tenant, bundle: BundleId, caller: Caller) -> Change:
        return Change(at=BundleAt(tenant, bundle), caller=caller, now=self._clock(), policy=self._policy)

    async def _changed(self, operation: Operation[Item, AnyRow], item: Item) -> Bundle:
        return rows.bundle_of(await self._metadata.write(operation, item), self._policy)


def policy_of(retention: RetentionSettings) -> Policy:
    """Return what the settings say about the life of bundles."""
    return Policy(
        time_to_live=timedelta(seconds=retention.time_to_live),
        max_time_to_live=timedelta(seconds=retention.max_time_to_live),
        min_age=timedelta(seconds=retention.min_age),
    )


def _scope(tenant: Tenant, caller: Caller, key: str) -> str:
    parts = (tenant.cluster, tenant.namespace, tenant.uid, caller.name, key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _number_of(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    # Python refuses to read numbers of thousands of digits, with an error of its own.
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > _CURSOR or int(cursor) >= 2**63:
        raise InvalidRequest("this cursor did not come from this server")
    return int(cursor)


def _namespace_usage(row: AnyRow, *, quota: int | None) -> NamespaceUsage:
    return NamespaceUsage(
        namespace=row.namespace,
        bundles=row.bundles,
        bundle_size=row.bundle_size,
        blobs=row.blobs,
        blob_size=row.blob_size,
        reserved=row.reserved,
        quota=quota,
    )
