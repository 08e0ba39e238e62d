"""What other policies would change, before anybody applies them.  Reads only.

Each bundle is judged by both, with what was last seen of its owner and pods.  Blobs are those that no bundle of their
namespace uses, and that the sweep after the change would give up.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from staging_protocol.api.bodies import Body
from staging_protocol.tokens import BundleId
from staging_server.metadata import looks, unused
from staging_server.metadata.base import Metadata
from staging_server.metadata.lives import remembered
from staging_server.metadata.looks import After, Candidate
from staging_server.metadata.unused import Span
from staging_server.retention.deciding import decide
from staging_server.retention.policies import FIELDS, Policies, Policy, value_text

_PAGE: Final = 1000


class Effect(StrEnum):
    """What becomes of a bundle."""

    ENDS = "ends"  # with the next sweep
    SOONER = "sooner"
    LATER = "later"


class ChangedBundle(Body, frozen=True):
    """A bundle with another end; None is an end that only an event brings.  `reason`: why it ends at once."""

    id: BundleId
    namespace: str
    application: str
    size: int
    effect: Effect
    until: datetime | None = None
    instead_of: datetime | None = None
    reason: str | None = None


class ChangedNamespace(Body, frozen=True):
    """A namespace with another policy.

    `fields` are before and after, in words.  `blobs` and `blob_size` are those that would be given up; `over_quota` are
    bytes beyond the new quota, which refuses creates until less is there.
    """

    namespace: str
    fields: dict[str, tuple[str, str]]
    blobs: int = 0
    blob_size: int = 0
    over_quota: int = 0


class PolicyDiff(Body, frozen=True):
    """What changes."""

    namespaces: tuple[ChangedNamespace, ...]
    bundles: tuple[ChangedBundle, ...]


async def policy_diff(metadata: Metadata, *, before: Policies, after: Policies, now: datetime) -> PolicyDiff:
    """Return what `after` would change."""
    tenants = await metadata.read(unused.find_tenants, None)
    changed = [_changed_namespace(metadata, tenant, before, after, now) for tenant in tenants]
    namespaces = [found for one in changed if (found := await one) is not None]
    bundles = [bundle async for bundle in _bundles(metadata, before, after, now)] if namespaces else []
    return PolicyDiff(namespaces=tuple(namespaces), bundles=tuple(bundles))


async def _changed_namespace(
    metadata: Metadata, tenant: Any, before: Policies, after: Policies, now: datetime
) -> ChangedNamespace | None:
    old, new = before.of(tenant.namespace), after.of(tenant.namespace)
    if old == new:
        return None
    blobs = size = 0
    if new.blob_keep < old.blob_keep:
        span = Span(tenant_id=tenant.id, since=now - old.blob_keep, until=now - new.blob_keep)
        blobs, size = await metadata.read(unused.count_unused, span)
    taken = tenant.blob_size + tenant.reserved
    over = 0 if new.quota is None else max(0, taken - size - new.quota)
    return ChangedNamespace(
        namespace=tenant.namespace, fields=dict(_fields(old, new)), blobs=blobs, blob_size=size, over_quota=over
    )


def _fields(old: Policy, new: Policy) -> Iterator[tuple[str, tuple[str, str]]]:
    for name in FIELDS:
        if getattr(old, name) != getattr(new, name):
            yield name, (value_text(old, name), value_text(new, name))


async def _bundles(
    metadata: Metadata, before: Policies, after: Policies, now: datetime
) -> AsyncIterator[ChangedBundle]:
    def judged(connection: Connection, page: After) -> tuple[int | None, list[ChangedBundle]]:
        found = looks.find_all(connection, page)
        changed = [change for one in found if (change := _changed_bundle(one, before, after, now)) is not None]
        return (found[-1].row.number if found else None), changed

    last: int | None = 0
    while last is not None:
        last, changed = await metadata.read(judged, After(number=last, at_most=_PAGE))
        for bundle in changed:
            yield bundle


def _changed_bundle(one: Candidate, before: Policies, after: Policies, now: datetime) -> ChangedBundle | None:
    namespace = one.tenant.namespace
    facts = remembered(one.row)
    old, new = decide(facts, before.of(namespace), now), decide(facts, after.of(namespace), now)
    effect = _effect(old.until if old.keep else now, new.until if new.keep else now, ends=not new.keep)
    if effect is None:
        return None
    return ChangedBundle(
        id=one.id, namespace=namespace, application=one.row.application, size=one.row.size, effect=effect,
        until=new.until, instead_of=old.until, reason=new.reason if effect is Effect.ENDS else None,
    )  # fmt: skip


def _effect(old: datetime | None, new: datetime | None, *, ends: bool) -> Effect | None:
    if old == new:
        return None
    if ends:
        return Effect.ENDS
    return Effect.SOONER if old is None or (new is not None and new < old) else Effect.LATER
