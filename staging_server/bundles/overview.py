"""What is told of bundles: lists, why one is still there, and what namespaces have."""

from collections.abc import Mapping
from typing import Final

from staging_protocol.api.bundles import BundlePage, BundleState
from staging_protocol.api.claims import Explanation
from staging_protocol.api.operators import NamespaceUsage, Usage
from staging_protocol.api.reports import ReceivedReport, Report
from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import BundleId
from staging_protocol.wire import decode
from staging_server.bundles.shown import bundle_of
from staging_server.metadata import looks, lookup, rows, usage
from staging_server.metadata.base import Metadata
from staging_server.metadata.claim_counts import count_claims
from staging_server.metadata.lives import judge
from staging_server.metadata.lookup import PageOf
from staging_server.metadata.rows import AnyRow, BundleAt
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.sights import UNOBSERVED, Sights
from staging_server.settings import Settings
from staging_server.tenants import Tenant
from staging_server.times import Clock, micros, moment_of, utc_now

_CURSOR: Final = 19
"""Most digits of a cursor: those of 2**63."""


class Overview:
    """Tells; changes nothing."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        settings: Settings,
        policies: KnownPolicies,
        sights: Sights = UNOBSERVED,
        clock: Clock = utc_now,
    ) -> None:
        self._metadata = metadata
        self._limits = settings.limits
        self._policies = policies
        self._sights = sights
        self._clock = clock

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
        at_most = min(limit, self._limits.page_size)
        page = PageOf(tenant=tenant, before=_number_of(cursor), limit=at_most, application=application, state=state)
        found = await self._metadata.read(lookup.find_page, page)
        shown = found[:at_most]
        return BundlePage(
            bundles=tuple(bundle_of(row, self._policies.of(row.namespace)) for row in shown),
            next=str(shown[-1].number) if len(found) > at_most else None,
        )

    async def explain(self, tenant: Tenant, bundle: BundleId) -> Explanation:
        """Return every claim on a bundle, in words, and the reports of its pods."""
        row = await self._metadata.read(rows.find_bundle, BundleAt(tenant, bundle))
        reports = await self._metadata.read(lookup.find_reports, row.number)
        policy = self._policies.of(tenant.namespace)
        decision = judge(row, tenant, sights=self._sights, policy=policy, now=self._clock()).decision
        return Explanation(
            bundle=bundle_of(row, policy),
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
        return Usage(
            namespaces=tuple(
                _namespace_usage(row, quota=self._policies.of(row.namespace).quota) for row in counts.tenants
            ),
            blobs=counts.blobs,
            stored_size=counts.stored_size,
        )

    async def claims(self) -> Mapping[str, int]:
        """Return how many bundles are kept by which kinds of claims, as of the last looks at them."""
        return await self._metadata.read(count_claims, micros(self._clock()))

    async def overdue(self) -> float:
        """Return for how many seconds the look at the longest overdue bundle has been due; 0 when none is."""
        oldest = await self._metadata.read(looks.find_oldest_due, None)
        return 0.0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds())


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
