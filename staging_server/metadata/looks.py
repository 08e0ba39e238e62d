"""How the sweep looks at bundles: which ones, and the transaction in which each is judged, and ended when it is over.

    due         their next look has come
    claimed     Kubernetes claims them; compared after its lists were made anew
    soon        their next look is near, perhaps only because it was put off while Kubernetes did not answer
    named       an event named them, or their owner
    scheduled   all that have a next look; asked for when a policy has changed
    all         to say what another policy would change

A look locks the row and judges by what Kubernetes shows at that moment, whatever was found before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, bindparam, func, literal_column, select

from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.audit import SWEEPER
from staging_server.metadata.endings import End, Ended, end
from staging_server.metadata.leases import SweepLease, require
from staging_server.metadata.lives import judge, look_at, owner_key, owner_of, remembered, store
from staging_server.metadata.partial_indexes import KUBERNETES_CLAIMS
from staging_server.metadata.rows import COLUMNS, JOINED, AnyRow, BundleAt, lock_bundle
from staging_server.metadata.tables import bundles, sightings, tenants
from staging_server.retention.deciding import decide
from staging_server.retention.policies import Policies
from staging_server.retention.sights import Changes, Sights
from staging_server.tenants import Tenant
from staging_server.times import Clock, maybe_micros, micros, moment_of

_IN: Final = 500
"""Names in one `IN`: far below the limits of both databases."""

_CANDIDATES: Final = select(*COLUMNS, tenants.c.cluster, tenants.c.uid).select_from(JOINED)
_DUE: Final = (
    _CANDIDATES.where(bundles.c.next_check <= bindparam("now"))
    .order_by(bundles.c.next_check)
    .limit(bindparam("at_most"))
)


def _page(*where: ColumnElement[bool]) -> Select[Any]:
    after = bundles.c.number > bindparam("after")
    return _CANDIDATES.where(*where, after).order_by(bundles.c.number).limit(bindparam("at_most"))


_CLAIMED: Final = (
    _CANDIDATES.where(KUBERNETES_CLAIMS, sightings.c.bundle > bindparam("after"))
    .order_by(sightings.c.bundle)
    .limit(bindparam("at_most"))
)
_NUMBER: Final = literal_column("+bundles.number", BigInteger)
"""The sign hides the primary key, which would lead through all bundles to the few that are due soon."""
_SOON: Final = (
    _CANDIDATES.where(bundles.c.next_check <= bindparam("until"), bindparam("after") < _NUMBER)
    .order_by(_NUMBER)
    .limit(bindparam("at_most"))
)
_ALL: Final = _page()
_SCHEDULED: Final = _page(bundles.c.next_check.is_not(None))
_NAMED: Final = _CANDIDATES.where(bundles.c.id.in_(bindparam("ids", expanding=True)))
_OWNED: Final = _CANDIDATES.where(sightings.c.owner_key.in_(bindparam("keys", expanding=True)))
# The condition is that of the partial index.
_OLDEST_DUE: Final = select(func.min(bundles.c.next_check)).where(bundles.c.next_check.is_not(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A bundle that the sweep has to look at; `row` has `rows.COLUMNS`."""

    tenant: Tenant
    id: BundleId
    row: AnyRow

    @property
    def at(self) -> BundleAt:
        """How a transaction finds it."""
        return BundleAt(self.tenant, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A look at a bundle.  What it is judged by is asked inside of the transaction, at its own time."""

    at: BundleAt
    clock: Clock
    policies: Policies
    sights: Sights
    lease: SweepLease


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What became of it.

    Attributes:
        ended: it is over.
        list_after: it waits for a list that is begun then or later.
        owner: the owner that was named.
    """

    ended: Ended | None = None
    list_after: datetime | None = None
    owner: OwnerReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A page of candidates: those after a number, and for `find_soon` with a look at `until` or before."""

    number: int = 0
    at_most: int = 500
    until: datetime | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """For the statements that go through candidates by their numbers."""
        return {"after": self.number, "at_most": self.at_most, "until": maybe_micros(self.until)}


def find_due(connection: Connection, item: tuple[datetime, int]) -> list[Candidate]:
    """Return bundles whose life may be over, the longest overdue first: a query."""
    now, at_most = item
    return _candidates(connection, _DUE, {"now": micros(now), "at_most": at_most})


def find_claimed(connection: Connection, after: After) -> list[Candidate]:
    """Return bundles that Kubernetes claims: a query."""
    return _candidates(connection, _CLAIMED, after.parameters)


def find_soon(connection: Connection, after: After) -> list[Candidate]:
    """Return bundles whose next look is at `after.until` or before: a query."""
    return _candidates(connection, _SOON, after.parameters)


def find_scheduled(connection: Connection, after: After) -> list[Candidate]:
    """Return bundles that have a next look: a query."""
    return _candidates(connection, _SCHEDULED, after.parameters)


def find_all(connection: Connection, after: After) -> list[Candidate]:
    """Return bundles, whatever keeps them: a query."""
    return _candidates(connection, _ALL, after.parameters)


def find_named(connection: Connection, changes: Changes) -> list[Candidate]:
    """Return bundles that events named, by their ids or their owners: a query."""
    ids = sorted({str(bundle) for _, bundle in changes.bundles})
    keys = sorted({owner_key(namespace, owner) for namespace, owner in changes.owners})
    found = [
        *(one for some in _slices(ids) for one in _candidates(connection, _NAMED, {"ids": some})),
        *(one for some in _slices(keys) for one in _candidates(connection, _OWNED, {"keys": some})),
    ]
    return list({one.id: one for one in found}.values())


def find_oldest_due(connection: Connection, _nothing: None) -> datetime | None:
    """Return the earliest next look of all: a query."""
    found = connection.execute(_OLDEST_DUE).scalar()
    return None if found is None else moment_of(found)


def look(connection: Connection, item: Look) -> Looked:
    """Judge a bundle, write what was learned, and end it when nothing keeps it."""
    require(connection, item.lease)
    row = lock_bundle(connection, item.at)
    # Before the sight is taken: an absence must not be dated later than what shows it.
    now = item.clock()
    tenant = item.at.tenant
    judgement = judge(row, tenant, sights=item.sights, policy=item.policies.of(tenant.namespace), now=now)
    decision = judgement.decision
    if decision.keep:
        store(connection, row, judgement)
        return Looked(list_after=decision.list_after, owner=owner_of(row))
    ending = End(caller=SWEEPER, now=now, action="bundle.expire", reason=decision.reason)
    return Looked(ended=end(connection, row, ending))


def is_sooner(one: Candidate, policies: Policies, now: datetime) -> bool:
    """Tell whether `policies` bring the next look at a bundle forward, by what is remembered of it."""
    moment = decide(remembered(one.row), policies.of(one.tenant.namespace), now).look_at
    return moment is not None and one.row.next_check is not None and micros(moment) < one.row.next_check


def look_sooner(connection: Connection, item: Look) -> None:
    """Bring the next look at a bundle forward, when the policies have become stricter."""
    require(connection, item.lease)
    one = Candidate(tenant=item.at.tenant, id=item.at.id, row=lock_bundle(connection, item.at))
    now = item.clock()
    if is_sooner(one, item.policies, now):
        # A look never harms, and what follows from the policies is decided then.
        look_at(connection, one.row, decide(remembered(one.row), item.policies.of(one.tenant.namespace), now).look_at)


def _candidates(connection: Connection, statement: Select[Any], parameters: dict[str, Any]) -> list[Candidate]:
    return [
        Candidate(
            tenant=Tenant(cluster=row.cluster, namespace=row.namespace, uid=row.uid), id=BundleId(row.id), row=row
        )
        for row in connection.execute(statement, parameters)
    ]


def _slices(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _IN] for start in range(0, len(names), _IN)]
