"""Retention against a model: pods, owners, clocks, watches that fail, sweepers in pairs, and crashes, all at random.

An example is a string of bytes that `Story` reads as steps of three bytes: what happens, to what, and how much.  That
shrinks well, and costs so little that the suite takes 10^5 steps and `make retention-model` 10^6; each counts, also one
that finds nothing to happen to.  What is checked:

    no live delete   whenever a bundle ends, nothing claims it: no pod and no owner, no lease, no pin, no minimum age.
                     Only what came into being when the bundle was already over may be missed, and for a short while.
    no leak          once the cluster answers again, every bundle without a claim is gone after the time to live or
                     the grace and a few sweeps, and every other one is there.  Once all is well, what ends is heard of
                     at once: a bundle is gone before the next time that everything is compared.
    blobs            what a bundle was told to be there is there; unused ones stay for `blob_keep` and their grace, and
                     go then (`blobs`).
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from staging_protocol.api.bundles import Pin
from staging_protocol.api.creation import NewFile
from staging_protocol.digests import Digest
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.wire import encode
from staging_server.metadata import changes
from staging_server.metadata.arrivals import store_blobs
from staging_server.metadata.base import Item, Operation, Result, one_by_one
from staging_server.metadata.changes import Activity, Change
from staging_server.metadata.creation import create_bundles
from staging_server.metadata.endings import delete_bundle
from staging_server.metadata.lives import owner_key
from staging_server.metadata.new_bundles import NewBundleRow
from staging_server.metadata.rows import BundleAt
from staging_server.metadata.tables import blobs, bundles
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.policies import Policies, Policy
from staging_server.tenants import Tenant
from tests.staging_server.domain import ALICE, MovableClock
from tests.staging_server.retention.blobs import GRACE, Bytes, files_of
from tests.staging_server.retention.process import Database, Process
from tests.staging_server.retention.world import LATE, SILENCE, STALE, Cluster, Thing, Watch

STEPS: Final = int(os.environ.get("RETENTION_STEPS", "100000"))  # noqa: TID251 - the make target says how many
_STEPS_OF_EXAMPLE: Final = 400

HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
LOOSE: Final = Policy(
    time_to_live=2 * HOUR, max_time_to_live=4 * HOUR, min_age=5 * MINUTE, grace=20 * MINUTE, blob_keep=3 * HOUR
)
STRICT: Final = replace(LOOSE, time_to_live=30 * MINUTE, grace=10 * MINUTE, blob_keep=HOUR)

NAMESPACES: Final = ("red", "blue")
OWNERS: Final = (
    OwnerReference(api_version="batch/v1", kind="Job", name="nightly"),
    OwnerReference(api_version="v1", kind="Pod", name="driver"),
    OwnerReference(api_version="sparkoperator.k8s.io/v1beta2", kind="SparkApplication", name="app"),
)
MOST: Final = 6
"""Bundles that live at once; more would only dilute what happens to each."""

MISSED: Final = LATE + SILENCE + STALE
"""A pod or owner that is younger than this may be unknown to everybody, through no fault of ours."""

MOST_LEASED: Final = 91 * MINUTE

SETTLED: Final = 3 * MINUTE
"""Sweeps until what a list shows is learned, or an end is confirmed."""

LEARNED: Final = 10 * MINUTE
"""Time after which an object that was seen surely is the owner that was named without its uid."""

HEALED: Final = 4 * MINUTE
"""Sweeps and a list until a bundle that is over is gone, once everything answers: what docs/operating.md promises."""


@dataclass
class Known:
    """What the model knows of a bundle.

    `candidates` are uids of the objects that have had the owner's name since it was named.  Only the first one surely
    is the owner: whoever did not see it may take the next one for it.  `is_seen` is set when sweeps must have learned
    of a live owner or pod, and `is_owned` when it was the owner: then no other object of its name can be it.
    `is_bound_late` is set when the owner had finished before it was named: then the bundle may be over at once.
    """

    tenant: Tenant
    created_at: datetime
    last_activity_at: datetime
    owner: OwnerReference | None = None
    named_at: datetime | None = None
    candidates: list[str] = field(default_factory=list)
    is_owned: bool = False
    is_seen: bool = False
    is_open: bool = False
    is_bound_late: bool = False
    lease_until: datetime | None = None
    pinned: bool = False
    claimed_at: datetime | None = None


_IDS: Final = select(bundles.c.id)
_DIGESTS: Final = select(blobs.c.digest)
_TOKEN: Final = Token.generate(TokenKind.BUNDLE, identifier=BundleId.generate())


class Steps(Iterator[tuple[int, int, int]]):
    """Bytes, three at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __next__(self) -> tuple[int, int, int]:
        if self._at + 3 > len(self._data):
            raise StopIteration
        what, which, much = self._data[self._at : self._at + 3]
        self._at += 3
        return what, which, much


@dataclass
class Story:
    """Plays steps to the cluster and to the processes, and checks after each sweep."""

    database: Database
    runner: asyncio.Runner
    clock: MovableClock = field(default_factory=MovableClock)
    known: dict[BundleId, Known] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        self.database.clear()
        self.cluster = Cluster(self.clock, namespaces=NAMESPACES)
        self.bytes = Bytes(self.clock)
        self.processes = [self._process(), self._process()]
        self._actions = {
            **dict.fromkeys((*range(27), *range(148, 155)), self.wait_shortly),
            **dict.fromkeys(range(27, 30), self.upload),
            **dict.fromkeys(range(30, 36), self.wait_long),
            **dict.fromkeys(range(36, 39), self.wait_for_an_end),
            **dict.fromkeys(range(39, 42), self.come_at_the_last_moment),
            **dict.fromkeys(range(42, 57), self.create),
            **dict.fromkeys(range(57, 77), self.start_pod),
            **dict.fromkeys(range(77, 92), self.end_pod),
            **dict.fromkeys(range(92, 107), self.start_owner),
            **dict.fromkeys(range(107, 122), self.end_owner),
            **dict.fromkeys(range(122, 125), self.recreate_namespace),
            **dict.fromkeys(range(125, 148), self.sweep),
            **dict.fromkeys(range(155, 160), self.sweep_twice),
            **dict.fromkeys(range(160, 165), self.sweep_blindly),
            **dict.fromkeys(range(165, 172), self.sweep_and_die),
            **dict.fromkeys(range(172, 176), self.restart),
            **dict.fromkeys(range(176, 184), self.break_watch),
            **dict.fromkeys(range(184, 194), self.list_anew),
            **dict.fromkeys(range(194, 198), self.lose_watch),
            **dict.fromkeys(range(198, 203), self.refuse),
            **dict.fromkeys(range(203, 219), self.deliver),
            **dict.fromkeys(range(219, 227), self.read),
            **dict.fromkeys(range(227, 233), self.lease),
            **dict.fromkeys(range(233, 238), self.pin),
            **dict.fromkeys(range(238, 246), self.bind),
            **dict.fromkeys(range(246, 250), self.delete),
            **dict.fromkeys(range(250, 256), self.change_policy),
        }

    def play(self, data: bytes) -> int:
        """Take all steps, and then look whether anything leaks; return how many there were."""
        count = 0
        for what, which, much in Steps(data):
            self._actions[what](which, much)
            count += 1
        self.heal()
        return count

    # --- time

    def wait_shortly(self, which: int, much: int) -> None:
        self._wait(timedelta(seconds=which % 90 + 1), much)

    def wait_long(self, which: int, much: int) -> None:
        self._wait(timedelta(minutes=which % 64 + 1), much)

    def wait_for_an_end(self, which: int, much: int) -> None:
        """Wait until about when the time of a bundle is over: then everything matters."""
        policy = self._policy()
        for bundle, known in self._some(which):
            over = max(self._over(known, policy), *(end + policy.grace for end in self._ends(bundle, known)))
            self._wait(over - self.clock() + timedelta(seconds=much % 128 - 64), much)

    def come_at_the_last_moment(self, which: int, much: int) -> None:
        """A pod or an owner starts just before a bundle is over, and watches do not hear of it."""
        self.wait_for_an_end(which, 0)
        for process in self.processes[: much % 3]:
            cast("Watch", process.watch).fall_silent()
        if much % 4:
            self.start_pod(which, much)
        else:
            for _, known in self._some(which):
                if known.owner is not None:
                    self.cluster.start_owner(known.tenant.namespace, _name(known.owner))
        self._wait(timedelta(seconds=much % 90 + 1), much)
        self.sweep(much, much)

    def _ends(self, bundle: BundleId, known: Known) -> list[datetime]:
        ends = [pod.finished_at for pod in self.cluster.now.pods.values() if pod.bundle == bundle and pod.finished_at]
        return [known.created_at, *ends]

    def _wait(self, span: timedelta, much: int) -> None:
        if span <= timedelta(0):
            return
        self.clock.now += span
        for process in self.processes:
            cast("Watch", process.watch).time_passed(span, stale=_stale(much))

    # --- submitters

    def create(self, which: int, much: int) -> None:
        if len(self.known) >= MOST:
            return
        tenant = self.cluster.tenant(NAMESPACES[which % 2])
        owner = None if much % 3 == 0 else self._reference(tenant.namespace, much)
        bundle = BundleId.generate()
        now = self.clock()
        row = _row(bundle, tenant, owner, now, self._policy(), files=files_of(much))
        wanted = self._write(create_bundles, row).wanted
        self.known[bundle] = Known(
            tenant=tenant, created_at=now, last_activity_at=now, owner=owner, named_at=now if owner else None,
            is_open=bool(wanted),
        )  # fmt: skip
        self.bytes.created(bundle, tenant, frozenset(file.digest for file in row.files), wanted=wanted)
        self._notice()

    def upload(self, which: int, much: int) -> None:
        """Bring what is wanted, or one digest of it."""
        for bundle, _ in self._some(which):
            for digest in list(self.bytes.wanted(bundle))[: much % 3]:
                arrival = self.bytes.arrival(bundle, digest)
                kept = arrival.upload in self._write(store_blobs, [arrival])
                for served in self.bytes.arrived(arrival, kept=kept):
                    if self.known[served].is_open:
                        self.known[served].last_activity_at = self.clock()

    def bind(self, which: int, much: int) -> None:
        for bundle, known in self._some(which):
            owner = self._reference(known.tenant.namespace, much)
            self._write(one_by_one(changes.bind), (self._change(bundle), owner))
            known.owner, known.named_at, known.candidates, known.is_owned = owner, self.clock(), [], False

    def read(self, which: int, much: int) -> None:
        for bundle, known in self._some(which):
            del much
            self._write(
                one_by_one(changes.note_activity), Activity(at=BundleAt(known.tenant, bundle), last=self.clock())
            )
            known.last_activity_at = self.clock()

    def lease(self, which: int, much: int) -> None:
        for bundle, known in self._some(which):
            known.lease_until = self.clock() + timedelta(minutes=much % 90 + 1)
            self._write(one_by_one(changes.lease), (self._change(bundle), known.lease_until))

    def pin(self, which: int, much: int) -> None:
        for bundle, known in self._some(which):
            known.pinned = much % 3 == 0
            if known.pinned:
                self._write(one_by_one(changes.pin), (self._change(bundle), Pin(reason="held")))
            else:
                self._write(one_by_one(changes.unpin), self._change(bundle))

    def delete(self, which: int, _much: int) -> None:
        for bundle, _ in self._some(which):
            self._write(one_by_one(delete_bundle), self._change(bundle))
            self._forget(bundle)

    # --- the cluster

    def start_pod(self, which: int, _much: int) -> None:
        for bundle, known in self._some(which):
            self.cluster.start_pod(known.tenant.namespace, bundle)

    def end_pod(self, which: int, much: int) -> None:
        pods = list(self.cluster.now.pods)
        if pods:
            uid = pods[which % len(pods)]
            (self.cluster.finish_pod if much % 2 else self.cluster.delete_pod)(uid)

    def start_owner(self, which: int, much: int) -> None:
        namespace, reference = NAMESPACES[which % 2], OWNERS[much % len(OWNERS)]
        # What has the name already goes: a nightly job is another object of the same name.
        self.cluster.start_owner(namespace, reference)
        self._notice()

    def end_owner(self, which: int, much: int) -> None:
        keys = list(self.cluster.now.owners)
        if keys:
            key = keys[which % len(keys)]
            (self.cluster.finish_owner if much % 2 else self.cluster.delete_owner)(key)

    def recreate_namespace(self, which: int, _much: int) -> None:
        self.cluster.recreate_namespace(NAMESPACES[which % 2])

    # --- watches and processes

    def deliver(self, which: int, _much: int) -> None:
        self._watch(which).deliver()

    def break_watch(self, which: int, much: int) -> None:
        self._watch(which).break_() if much % 2 else self._watch(which).gone(stale=_stale(which))

    def lose_watch(self, which: int, _much: int) -> None:
        self._watch(which).fall_silent()

    def list_anew(self, which: int, much: int) -> None:
        self._watch(which).list(stale=_stale(much))

    def refuse(self, which: int, much: int) -> None:
        """403 for owners, for pods, for both, or for none any more."""
        watch = self._watch(which)
        watch.owners_denied, watch.pods_denied = much % 2 == 0, much % 3 == 0

    def restart(self, which: int, _much: int) -> None:
        self.processes[which % 2] = self._process()

    def change_policy(self, _which: int, much: int) -> None:
        self.strict = much % 2 == 0
        for process in self.processes:
            cast("ModelPolicies", process.policies).now = Policies(self._policy())
        self.bytes.keep_at_most(self._policy().blob_keep)

    # --- sweeps

    def sweep(self, which: int, much: int) -> None:
        self._check(self.runner.run(self.processes[which % 2].sweep(blobs=much % 4 == 0)))

    def sweep_blindly(self, _which: int, _much: int) -> None:
        """A command beside a server, which does not watch."""
        self._check(self.runner.run(self._process(watching=False).sweep()))

    def sweep_twice(self, which: int, much: int) -> None:
        """Two at once, and a submitter in between."""

        async def meanwhile() -> list[BundleId]:
            for _ in range(which % 16):
                await asyncio.sleep(0)
            self.create(which, much)
            return []

        async def both() -> list[BundleId]:
            sweeps = (each.sweep() for each in self.processes)
            return [one for ended in await asyncio.gather(*sweeps, meanwhile()) for one in ended]

        for process in self.processes:
            process.metadata.polite = True
        ended = self.runner.run(both())
        for process in self.processes:
            process.metadata.polite = False
        assert len(ended) == len(set(ended))
        self._check(ended)

    def sweep_and_die(self, which: int, much: int) -> None:
        self.processes[which % 2].metadata.dies_in = much % 8 + 1
        ended = self.runner.run(self.processes[which % 2].sweep())
        # It could not tell of the last one.
        self._check({*ended, *(set(self.known) - self._stored())})
        self.processes[which % 2] = self._process()

    # --- what must be so

    def _check(self, ended: Iterable[BundleId]) -> None:
        for bundle in ended:
            if bundle in self.known:
                known = self._forget(bundle)
                claims = list(self._claims(bundle, known))
                assert not claims, f"{bundle} ended at {self.clock()} with {claims}: {known}"
        assert set(self.known) == self._stored()

    def _claims(self, bundle: BundleId, known: Known) -> Iterator[str]:
        """Yield what should have kept it."""
        now, policy = self.clock(), self._policy()
        if known.pinned:
            yield "pin"
        if known.lease_until is not None and now < known.lease_until:
            yield f"lease until {known.lease_until}"
        if now < known.created_at + policy.min_age:
            yield "minimum age"
        over = self._over(known, policy)
        for thing in self._live(bundle, known):
            # Young, and come when the bundle was over: nobody could know.
            if now - max(thing.created_at, known.named_at or thing.created_at) >= MISSED or thing.created_at < over:
                yield f"{thing}"

    def _over(self, known: Known, policy: Policy) -> datetime:
        """Return when time alone ended it."""
        ends = [known.created_at + policy.min_age, known.lease_until or known.created_at]
        if not known.is_bound_late and (known.claimed_at is None or self.clock() - known.claimed_at < MISSED):
            # Without a claim, or with one that nobody may know of yet.
            ends.append(known.last_activity_at + policy.time_to_live)
        return max(ends)

    def _live(self, bundle: BundleId, known: Known) -> Iterator[Thing]:
        state = self.cluster.now
        for pod in state.pods.values():
            if pod.bundle == bundle and pod.namespace_uid == known.tenant.uid and pod.finished_at is None:
                yield pod
        owner = self._owner_object(known)
        if owner is not None and owner.finished_at is None:
            yield owner

    def _owner_object(self, known: Known) -> Thing | None:
        """Return the object that surely is the owner, if it is there."""
        named = self._named(known)
        is_sure = named is not None and named.uid == known.candidates[0]
        return named if is_sure else None

    def _named(self, known: Known) -> Thing | None:
        """Return the object that has the owner's name and may be it."""
        if known.owner is None:
            return None
        thing = self.cluster.now.owners.get((known.tenant.namespace, _name(known.owner)))
        return thing if thing is not None and thing.uid in known.candidates else None

    def _notice(self) -> None:
        """Keep what has been a claim, after each change of the cluster or of an owner's name."""
        for bundle, known in self.known.items():
            thing = None
            if known.owner is not None:
                thing = self.cluster.now.owners.get((known.tenant.namespace, _name(known.owner)))
            if thing is not None and self._may_be(thing, known) and thing.uid not in known.candidates:
                known.candidates.append(thing.uid)
                known.is_bound_late |= thing.finished_at is not None
            if known.claimed_at is None and (known.candidates or any(self._live(bundle, known))):
                known.claimed_at = self.clock()

    def _may_be(self, thing: Thing, known: Known) -> bool:
        if thing.namespace_uid != known.tenant.uid or known.owner is None or known.is_owned:
            return False
        if known.owner.uid is not None:
            return known.owner.uid == thing.uid
        return thing.finished_at is None or thing.finished_at >= known.created_at

    def heal(self) -> None:
        """Let everything answer again; then only what is claimed may stay, and what ends is heard of."""
        # Started anew: the other one may have written what it did not know, and no event says that again.
        self.processes[0] = self._process()
        cast("Watch", self.processes[0].watch).list(stale=timedelta(0))
        self._sweep_for(SETTLED)
        self._wait(LEARNED, 0)
        self._sweep_for(SETTLED)
        self._be_sure()
        self._end_some()
        self._sweep_for(SETTLED)
        self._wait(self._policy().grace, 0)
        self._sweep_for(HEALED)
        self._look_for_leaks()
        self._wait(max(self._policy().time_to_live, MOST_LEASED), 0)
        self._sweep_for(HEALED)
        self._look_for_leaks()
        self._wait(self._policy().blob_keep, 0)
        self._sweep_for(MINUTE, blobs=True)
        self._wait(GRACE, 0)
        self._sweep_for(2 * MINUTE, blobs=True)
        for digest in self.database.connection.execute(_DIGESTS).scalars():
            assert self.bytes.may_stay(Digest(digest), keep=self._policy().blob_keep, late=HEALED), f"{digest} leaks"

    def _be_sure(self) -> None:
        """Note what everybody must have seen by now."""
        for bundle, known in self.known.items():
            named = self._named(known)
            if named is not None and named.finished_at is None and known.candidates == [named.uid]:
                known.is_owned = True
            known.is_seen = known.is_owned or any(self._live(bundle, known))

    def _end_some(self) -> None:
        """End pods and owners of two of three bundles; who has the name of an owner then is another object."""
        for position, (bundle, known) in enumerate(self.known.items()):
            if position % 3:
                for pod in [pod for pod in self.cluster.now.pods.values() if pod.bundle == bundle]:
                    (self.cluster.finish_pod if position % 2 else self.cluster.delete_pod)(pod.uid)
                if known.is_owned and known.owner is not None:
                    self.cluster.start_owner(known.tenant.namespace, _name(known.owner))
        self._notice()

    def _look_for_leaks(self) -> None:
        for bundle, known in self.known.items():
            named = self._named(known)
            may_stay = list(self._claims(bundle, known))
            if named is not None and named.finished_at is None:
                may_stay.append(f"{named} may be its owner")
            if self.clock() < self._end_by_time(known) + HEALED:
                may_stay.append("it was over a moment ago")
            assert may_stay, f"{bundle} leaks at {self.clock()}: {known}"

    def _end_by_time(self, known: Known) -> datetime:
        ends = [known.created_at + self._policy().min_age, known.lease_until or known.created_at]
        if not known.is_seen:
            ends.append(known.last_activity_at + self._policy().time_to_live)
        return max(ends)

    def _sweep_for(self, span: timedelta, *, blobs: bool = False) -> None:
        for _ in range(span // MINUTE):
            self._wait(MINUTE, 0)
            self.sweep(0, 0 if blobs else 1)

    # --- inside

    def _process(self, *, watching: bool = True) -> Process:
        watch = Watch(self.cluster) if watching else None
        policies = cast("KnownPolicies", ModelPolicies(Policies(self._policy())))
        return Process(
            database=self.database, policies=policies, clock=self.clock, watch=watch, store=self.bytes
        )  # fmt: skip

    def _forget(self, bundle: BundleId) -> Known:
        self.bytes.ended(bundle, keep=self._policy().blob_keep)
        return self.known.pop(bundle)

    def _watch(self, which: int) -> Watch:
        return cast("Watch", self.processes[which % 2].watch)

    def _policy(self) -> Policy:
        return STRICT if self.strict else LOOSE

    def _some(self, which: int) -> Iterator[tuple[BundleId, Known]]:
        """Yield one bundle, if there is any, and notice what became of it."""
        if self.known:
            bundle = list(self.known)[which % len(self.known)]
            yield bundle, self.known[bundle]
            self._notice()

    def _reference(self, namespace: str, much: int) -> OwnerReference:
        """Return an owner's name, sometimes with the uid of the object that has it."""
        name = OWNERS[much % len(OWNERS)]
        thing = self.cluster.now.owners.get((namespace, name))
        return name if thing is None or much % 2 else _name(name, uid=thing.uid)

    def _change(self, bundle: BundleId) -> Change:
        at = BundleAt(self.known[bundle].tenant, bundle)
        return Change(at=at, caller=ALICE, now=self.clock(), policy=self._policy())

    def _write(self, operation: Operation[Item, Result], item: Item) -> Result:
        connection = self.database.connection
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        (result,) = operation(connection, [item])
        connection.exec_driver_sql("COMMIT")
        return result

    def _stored(self) -> set[BundleId]:
        return {BundleId(found) for found in self.database.connection.execute(_IDS).scalars()}


@dataclass
class ModelPolicies:
    """`KnownPolicies` without a file."""

    now: Policies

    def of(self, namespace: str) -> Policy:
        """See `KnownPolicies.of`."""
        return self.now.of(namespace)


def _row(
    bundle: BundleId,
    tenant: Tenant,
    owner: OwnerReference | None,
    now: datetime,
    policy: Policy,
    *,
    files: tuple[NewFile, ...],
) -> NewBundleRow:
    return NewBundleRow(
        id=bundle, tenant=tenant, caller=ALICE, now=now,
        next_check=now + policy.time_to_live if owner is None else now,
        application="app", files=files, size=len(files), time_to_live=None,
        owner=None if owner is None else encode(owner).decode(),
        owner_key=None if owner is None else owner_key(tenant.namespace, owner),
        token=_TOKEN, manifest=b"{}", manifest_digest=Digest.of(b"{}"), scope=None, body_hash="", max_bundles=100,
        quota=None,
    )  # fmt: skip


def _name(owner: OwnerReference, *, uid: str | None = None) -> OwnerReference:
    return OwnerReference(api_version=owner.api_version, kind=owner.kind, name=owner.name, uid=uid)


def _stale(much: int) -> timedelta:
    return STALE * (much % 4) / 3 if much % 2 else timedelta(0)


def test_nothing_that_lives_is_deleted_and_nothing_leaks(record_property: Callable[[str, object], None]) -> None:
    taken = 0
    database = Database()
    with asyncio.Runner() as runner:

        @settings(
            max_examples=STEPS // _STEPS_OF_EXAMPLE, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        )  # fmt: skip
        @given(st.binary(min_size=3 * _STEPS_OF_EXAMPLE, max_size=3 * _STEPS_OF_EXAMPLE))
        def play(data: bytes) -> None:
            nonlocal taken
            taken += Story(database=database, runner=runner).play(data)

        try:
            play()
        finally:
            database.close()
    record_property("steps", taken)
    assert taken >= STEPS
