"""Making bundles: a draft, a row, and an answer that says what the server still needs."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

from staging_protocol.api.creation import CreatedBundle, FileState, NewBundle
from staging_protocol.api.info import PodEndpoint
from staging_protocol.errors import RequestInProgress
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.wire import encode
from staging_server.bundles.shown import bundle_of
from staging_server.drafts import Draft, Drafts, check_time_to_live
from staging_server.metadata.base import Metadata
from staging_server.metadata.creation import create_bundles
from staging_server.metadata.lives import owner_key
from staging_server.metadata.new_bundles import Created, NewBundleRow
from staging_server.observer import SILENT, Observer
from staging_server.readers import Readers
from staging_server.retention.deciding import decide
from staging_server.retention.facts import Facts, Owner
from staging_server.retention.known_policies import KnownPolicies
from staging_server.settings import Settings
from staging_server.tenants import Caller, Tenant
from staging_server.times import Clock, utc_now

_MICROSECOND: Final = timedelta(microseconds=1)


class Creation:
    """Makes bundles, and recognises those that it has made."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        settings: Settings,
        policies: KnownPolicies,
        pods: PodEndpoint,
        readers: Readers,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._limits = settings.limits
        self._policies = policies
        self._drafts = Drafts(limits=settings.limits)
        self._pods = pods
        self._readers = readers
        self._clock = clock
        self._observer = observer
        self._creating: set[str] = set()

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
        check_time_to_live(plan, self._policies.of(tenant.namespace))
        if scope is None:
            return await self._create(tenant, body, plan, caller=caller, scope=None, body_hash=body_hash)
        if scope in self._creating:
            raise RequestInProgress("a request with this Idempotency-Key is still running", retry_after=1)
        self._creating.add(scope)
        try:
            return await self._create(tenant, body, plan, caller=caller, scope=scope, body_hash=body_hash)
        finally:
            self._creating.discard(scope)

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
        now, policy = self._clock(), self._policies.of(tenant.namespace)
        bundle = BundleId.generate()
        facts = Facts(
            created_at=now,
            last_activity_at=now,
            time_to_live=plan.time_to_live,
            owner=None if body.owner is None else Owner(reference=body.owner),
        )
        expires_at = decide(facts, policy, now).until
        row = NewBundleRow(
            id=bundle,
            tenant=tenant,
            caller=caller,
            now=now,
            # An owner may be there already, and then no event will tell.
            next_check=expires_at if body.owner is None else now,
            application=body.application,
            files=body.files,
            size=plan.size,
            time_to_live=None if plan.time_to_live is None else plan.time_to_live // _MICROSECOND,
            owner=None if body.owner is None else encode(body.owner).decode(),
            owner_key=None if body.owner is None else owner_key(tenant.namespace, body.owner),
            token=Token.generate(TokenKind.BUNDLE, identifier=bundle),
            manifest=plan.manifest,
            manifest_digest=plan.manifest_digest,
            scope=scope,
            body_hash=body_hash,
            max_bundles=self._limits.bundles_per_namespace,
            quota=policy.quota,
        )
        created = await self._metadata.write(create_bundles, row)
        if created.row is None:
            wanted = sum(file.size for file in body.files if file.digest in created.wanted)
            self._observer.bundle_created(held=plan.size - wanted, wanted=wanted)
        else:
            # The token of the first answer may be void now.
            self._readers.forget()
        return self._answer(body, plan, created, expires_at=expires_at)

    def _answer(self, body: NewBundle, plan: Draft, created: Created, *, expires_at: datetime | None) -> CreatedBundle:
        row = created.row
        again = None if row is None else bundle_of(row, self._policies.of(row.namespace)).expires_at
        return CreatedBundle(
            id=created.id,
            token=created.token.text,
            sealed=created.sealed,
            expires_at=again or expires_at or self._clock(),
            files=tuple(FileState.WANTED if file.digest in created.wanted else FileState.HELD for file in body.files),
            manifest_digest=plan.manifest_digest,
            pods=self._pods,
        )


def _scope(tenant: Tenant, caller: Caller, key: str) -> str:
    parts = (tenant.cluster, tenant.namespace, tenant.uid, caller.name, key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
