"""What a row of `bundles` says about its life: its histories, what they become with a sight, and how they are stored.

    row  →  `Histories`  →  learn(sight)  →  `Facts`  →  `decide`  →  `store`

Without a sight a history alone tells what was so when somebody last looked.  That is enough to say when the sweep has
to look again, and never enough to end a bundle.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict

from sqlalchemy import Connection, bindparam, delete, update
from sqlalchemy.dialects.postgresql import insert as upsert

from staging_protocol.api.bundles import Pin
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_protocol.wire import decode
from staging_server.metadata.rows import AnyRow
from staging_server.metadata.tables import bundles, sightings
from staging_server.retention.deciding import Decision, decide
from staging_server.retention.facts import Facts, Life, Owner, Pods
from staging_server.retention.history import NOTHING, History, learn
from staging_server.retention.policies import Policy
from staging_server.retention.sights import Seen, Sight, Sights
from staging_server.tenants import Tenant
from staging_server.times import maybe_micros, maybe_moment, moment_of

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_NO_SIGHT: Final = Sight(seen=Seen.UNOBSERVED)
"""Of a tenant from before Kubernetes was connected: its namespace object is not known, so nobody can be asked."""

_SIGHTINGS: Final = upsert(sightings)
_STORE: Final = _SIGHTINGS.on_conflict_do_update(
    index_elements=[sightings.c.bundle],
    set_={column.name: _SIGHTINGS.excluded[column.name] for column in sightings.c if column.name != "bundle"},
)
_FORGET: Final = delete(sightings).where(sightings.c.bundle == bindparam("of_bundle"))
_NEXT_CHECK: Final = (
    update(bundles).where(bundles.c.number == bindparam("of_bundle")).values(next_check=bindparam("new_check"))
)


class _Observed(TypedDict):
    """The fields of `facts.Observed`."""

    life: Life
    ended_at: datetime | None
    last_seen: datetime | None
    absent_since: datetime | None
    listed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    """What was seen of a bundle's owner and of its pods."""

    owner: History = NOTHING
    pods: History = NOTHING

    @property
    def claim(self) -> bool:
        """Whether Kubernetes claims the bundle."""
        return self.owner.claims or self.pods.claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a look at a bundle found: what is known of it now, and what follows."""

    histories: Histories
    decision: Decision


def remembered(row: AnyRow) -> Facts:
    """Return what retention has to know, as of the last look; `row` has `rows.COLUMNS`."""
    known = histories_of(row)
    reference = owner_of(row)
    owner = None if reference is None else _owner(reference, known.owner, _as_remembered(known.owner))
    return _facts(row, owner=owner, pods=Pods(**_as_remembered(known.pods)))


def judge(row: AnyRow, tenant: Tenant, *, sights: Sights, policy: Policy, now: datetime) -> Judgement:
    """Look at the bundle of `row` with what Kubernetes shows of it now."""
    known, reference = histories_of(row), owner_of(row)
    sight = _sight_of_pods(row, tenant, sights)
    pods = learn(known.pods, sight, now)
    seen_pods = Pods(**_with_sight(pods, sight), names=sight.names, count=sight.count)
    owner, seen_owner = NOTHING, None
    if reference is not None:
        shown = _sight_of_owner(reference, known.owner, tenant, sights)
        made_at = moment_of(row.created_at) if reference.uid is None else None
        owner = learn(known.owner, shown, now, made_at=made_at)
        seen_owner = _owner(reference, owner, _with_sight(owner, shown))
    facts = _facts(row, owner=seen_owner, pods=seen_pods)
    return Judgement(histories=Histories(owner=owner, pods=pods), decision=decide(facts, policy, now))


def changes(row: AnyRow, judgement: Judgement) -> bool:
    """Tell whether there is something to write, or to end."""
    decision = judgement.decision
    moment = maybe_micros(decision.look_at)
    waits = (row.next_check is None) != (moment is None)
    # Its next look was put off while Kubernetes did not answer.
    late = moment is not None and row.next_check is not None and moment < row.next_check
    return not decision.keep or waits or late or judgement.histories != histories_of(row)


def store(connection: Connection, row: AnyRow, judgement: Judgement) -> None:
    """Write what was learned, and when the sweep looks again; the row is locked."""
    known = judgement.histories
    if known != histories_of(row):
        connection.execute(_STORE, {"bundle": row.number, **_columns(row, known)})
    look_at(connection, row, judgement.decision.look_at)


def look_at(connection: Connection, row: AnyRow, moment: datetime | None) -> None:
    """Set when the sweep looks at the bundle of `row` again; None: only an event brings it back."""
    connection.execute(_NEXT_CHECK, {"of_bundle": row.number, "new_check": maybe_micros(moment)})


def rebind(connection: Connection, row: AnyRow, owner: OwnerReference) -> None:
    """Forget what was seen of an earlier owner, and let events of the new one find the bundle."""
    known = Histories(pods=histories_of(row).pods)
    columns = {**_columns(row, known), "owner_key": owner_key(row.namespace, owner)}
    connection.execute(_STORE, {"bundle": row.number, **columns})


def owner_key(namespace: str, owner: OwnerReference) -> str:
    """Return by what an event finds the bundles of an owner: all but the uid, which may not be known yet."""
    return f"{namespace}/{owner.api_version}/{owner.kind}/{owner.name}"


def owner_of(row: AnyRow) -> OwnerReference | None:
    """Return the owner that was named."""
    return None if row.owner is None else decode(row.owner, into=OwnerReference)


def pin_of(row: AnyRow) -> Pin | None:
    """Return the pin."""
    return None if row.pinned is None else Pin(reason=row.pin_reason, until=maybe_moment(row.pin_until))


def histories_of(row: AnyRow) -> Histories:
    """Return what was seen so far."""
    if row.sighted is None:
        return Histories()
    return Histories(
        owner=History(
            uid=row.owner_uid,
            first_seen=maybe_moment(row.owner_first_seen),
            last_seen=maybe_moment(row.owner_last_seen),
            absent_since=maybe_moment(row.owner_absent_since),
            ended_at=maybe_moment(row.owner_ended_at),
        ),
        pods=History(
            first_seen=maybe_moment(row.pods_first_seen),
            last_seen=maybe_moment(row.pods_last_seen),
            absent_since=maybe_moment(row.pods_absent_since),
            ended_at=maybe_moment(row.pods_ended_at),
        ),
    )


def _columns(row: AnyRow, known: Histories) -> dict[str, object]:
    reference = owner_of(row)
    return {
        "claimed": known.claim,
        "owner_key": None if reference is None else owner_key(row.namespace, reference),
        "owner_uid": known.owner.uid,
        **{
            f"{what}_{when}": maybe_micros(getattr(history, when))
            for what, history in (("owner", known.owner), ("pods", known.pods))
            for when in ("first_seen", "last_seen", "absent_since", "ended_at")
        },
    }


def _facts(row: AnyRow, *, owner: Owner | None, pods: Pods) -> Facts:
    return Facts(
        created_at=moment_of(row.created_at),
        last_activity_at=moment_of(row.last_activity_at),
        time_to_live=None if row.time_to_live is None else timedelta(microseconds=row.time_to_live),
        lease_until=maybe_moment(row.lease_until),
        pin=pin_of(row),
        owner=owner,
        pods=pods,
    )


def _sight_of_pods(row: AnyRow, tenant: Tenant, sights: Sights) -> Sight:
    return sights.pods(tenant, BundleId(row.id)) if tenant.uid else _NO_SIGHT


def _sight_of_owner(reference: OwnerReference, known: History, tenant: Tenant, sights: Sights) -> Sight:
    if not tenant.uid:
        return _NO_SIGHT
    if reference.uid is None and known.uid is not None:
        # Learned: an object that has the name now may be another one.
        reference = OwnerReference(
            api_version=reference.api_version, kind=reference.kind, name=reference.name, uid=known.uid
        )
    return sights.owner(tenant, reference)


def _owner(reference: OwnerReference, known: History, observed: _Observed) -> Owner:
    if reference.uid is not None:
        return Owner(reference=reference, **observed)
    return Owner(reference=reference, is_in_doubt=known.is_in_doubt, sure_at=known.sure_at, **observed)


def _as_remembered(known: History) -> _Observed:
    return _observed(known, _life(known))


def _with_sight(known: History, sight: Sight) -> _Observed:
    match sight.seen:
        case Seen.UNOBSERVED:
            return _observed(NOTHING, Life.UNOBSERVED)
        case Seen.UNKNOWN:
            return _observed(known, Life.UNKNOWN)
        case Seen.ALIVE:
            return _observed(known, Life.ALIVE)
        case Seen.FINISHED:
            return _observed(known, _life(known), listed_at=sight.listed_at)
        case Seen.ABSENT:
            return _observed(known, _life(known), listed_at=sight.listed_at or _NEVER)


def _observed(known: History, life: Life, *, listed_at: datetime | None = None) -> _Observed:
    return {
        "life": life,
        "ended_at": known.ended_at,
        "last_seen": known.last_seen,
        "absent_since": known.absent_since,
        "listed_at": listed_at,
    }


def _life(known: History) -> Life:
    if known.ended_at is not None:
        return Life.ENDED
    if known.absent_since is not None:
        return Life.MISSING
    return Life.EXPECTED if known.first_seen is None else Life.ALIVE
