"""The server against a simple model: two tenants, a moving clock, and any order of calls.

The model keeps in a few dictionaries what the server keeps in a database and a folder.  After each step answers, errors
and counts must agree; a sweep must remove exactly what the model says is due, no live thing and no leak.
"""

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Handles
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from staging_protocol.digests import Digest
from staging_protocol.errors import (
    BlobNotWanted,
    BundleExpired,
    BundleNotSealed,
    DigestMismatch,
    FilesMissing,
    NotFound,
    StagingError,
)
from staging_protocol.tokens import BundleId
from tests.staging_server.model_server import DomainServer, ModelServer

T = TypeVar("T")

CONTENTS = (b"a", b"bb" * 50, b"ccc" * 700, b"dddd")
TENANTS = ("red", "blue")
TIME_TO_LIVE = KEEP = timedelta(days=7)
MIN_AGE = timedelta(minutes=5)
GRACE = timedelta(days=1)
USE_AGAIN = timedelta(hours=1)

tenants = st.sampled_from(TENANTS)
contents = st.sampled_from(CONTENTS)


@dataclass(kw_only=True)
class ModelBundle:
    """One bundle, living or ended."""

    id: BundleId
    tenant: str
    contents: tuple[bytes, ...]
    sealed: bool
    created_at: datetime
    active_at: datetime
    ended: bool = False


@dataclass
class Model:
    """What the server should know.  `held` has the last use, `stored` since when no tenant has the blob."""

    bundles: list[ModelBundle] = field(default_factory=list)
    held: dict[tuple[str, bytes], datetime] = field(default_factory=dict)
    stored: dict[bytes, datetime | None] = field(default_factory=dict)

    def living(self, tenant: str | None = None) -> list[ModelBundle]:
        """Return the bundles that live."""
        return [one for one in self.bundles if not one.ended and tenant in {None, one.tenant}]

    def wants(self, tenant: str, content: bytes) -> list[ModelBundle]:
        """Return the open bundles that have a file of this content."""
        return [one for one in self.living(tenant) if not one.sealed and content in one.contents]

    def missing(self, bundle: ModelBundle) -> set[bytes]:
        """Return what the bundle's tenant does not hold."""
        return {content for content in bundle.contents if (bundle.tenant, content) not in self.held}

    def end(self, bundle: ModelBundle, now: datetime) -> None:
        """End a bundle: its blobs were used until now."""
        bundle.ended = True
        for content in bundle.contents:
            if (bundle.tenant, content) in self.held:
                self.held[bundle.tenant, content] = now

    def expire(self, now: datetime) -> Iterator[BundleId]:
        """End what is idle."""
        for bundle in self.living():
            if now >= bundle.active_at + TIME_TO_LIVE and now >= bundle.created_at + MIN_AGE:
                self.end(bundle, now)
                yield bundle.id

    def give_up(self, now: datetime) -> None:
        """Let tenants lose what they have not used."""
        for (tenant, content), last_used in list(self.held.items()):
            if last_used > now - KEEP:
                continue
            if any(content in bundle.contents for bundle in self.living(tenant)):
                self.held[tenant, content] = now
                continue
            del self.held[tenant, content]
            if not any((other, content) in self.held for other in TENANTS):
                self.stored[content] = now

    def delete(self, now: datetime) -> Iterator[Digest]:
        """Remove what nobody has."""
        for content, unused_since in list(self.stored.items()):
            if unused_since is None or unused_since >= now - GRACE:
                continue
            if any(content in bundle.contents for bundle in self.living()):
                self.stored[content] = now
                continue
            del self.stored[content]
            yield Digest.of(content)


class ServerAgainstModel(RuleBasedStateMachine):
    """Each rule does one thing to both."""

    made = Handles("made")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.server = self.new_server(Path(self.folder.name))
        self.model = Model()

    def new_server(self, folder: Path) -> ModelServer:
        """Return the server to try; a subclass may bring another."""
        return DomainServer(folder)

    def teardown(self) -> None:
        """Close everything."""
        self.run(self.server.close())
        self.runner.close()
        self.folder.cleanup()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for `call`."""
        return self.runner.run(call)

    def refused(self, call: Coroutine[Any, Any, object]) -> type[StagingError] | None:
        """Return the error of `call`, or None when it was done."""
        try:
            self.run(call)
        except StagingError as error:
            return type(error)
        return None

    @property
    def now(self) -> datetime:
        """The time of both."""
        return self.server.clock.now

    @rule(target=made, tenant=tenants, files=st.lists(contents, max_size=3).map(tuple))
    def create(self, tenant: str, files: tuple[bytes, ...]) -> ModelBundle:
        answer = self.run(self.server.create(tenant, files))
        assert answer.wanted == tuple((tenant, content) not in self.model.held for content in files)
        assert answer.sealed == (not any(answer.wanted))
        for content in files:
            last_used = self.model.held.get((tenant, content))
            if last_used is not None and last_used < self.now - USE_AGAIN:
                self.model.held[tenant, content] = self.now
        bundle = ModelBundle(
            id=answer.id,
            tenant=tenant,
            contents=files,
            sealed=answer.sealed,
            created_at=self.now,
            active_at=self.now,
        )
        self.model.bundles.append(bundle)
        return bundle

    @rule(tenant=tenants, content=contents)
    def put(self, tenant: str, content: bytes) -> None:
        error = self.refused(self.server.put(tenant, Digest.of(content), len(content), content))
        if (tenant, content) in self.model.held:
            assert error is None
        elif bundles := self.model.wants(tenant, content):
            assert error is None
            self.model.held[tenant, content] = self.now
            self.model.stored[content] = None
            for bundle in bundles:
                bundle.active_at = self.now
        else:
            assert error is BlobNotWanted

    @rule(tenant=tenants, content=contents)
    def put_other_bytes(self, tenant: str, content: bytes) -> None:
        error = self.refused(self.server.put(tenant, Digest.of(content), len(content), content[:-1] + b"?"))
        if (tenant, content) in self.model.held:
            assert error is None  # not even read
        else:
            assert error is (DigestMismatch if self.model.wants(tenant, content) else BlobNotWanted)

    @rule(bundle=made)
    def seal(self, bundle: ModelBundle) -> None:
        error = self.refused(self.server.seal(bundle.tenant, bundle.id))
        if bundle.ended:
            assert error is BundleExpired
        elif bundle.sealed:
            assert error is None
        elif self.model.missing(bundle):
            assert error is FilesMissing
        else:
            assert error is None
            bundle.sealed = True
            bundle.active_at = self.now

    @rule(bundle=made, tenant=tenants, number=st.integers(0, 3))
    def read(self, bundle: ModelBundle, tenant: str, number: int) -> None:
        if tenant == bundle.tenant and bundle.sealed and not bundle.ended and number < len(bundle.contents):
            assert self.run(self.server.read(tenant, bundle.id, number)) == bundle.contents[number]
            return
        error = self.refused(self.server.read(tenant, bundle.id, number))
        if tenant != bundle.tenant:
            assert error is NotFound
        elif bundle.ended:
            assert error is BundleExpired
        elif number >= len(bundle.contents):
            assert error is NotFound
        else:
            assert error is BundleNotSealed

    @rule(bundle=made)
    def touch(self, bundle: ModelBundle) -> None:
        self.run(self.server.touch(bundle.tenant, bundle.id))
        bundle.active_at = self.now

    @rule(bundle=made)
    def delete(self, bundle: ModelBundle) -> None:
        error = self.refused(self.server.delete(bundle.tenant, bundle.id))
        assert error is (BundleExpired if bundle.ended else None)
        if not bundle.ended:
            self.model.end(bundle, self.now)

    @rule(hours=st.sampled_from((1, 7, 25, 24 * 6, 24 * 8)))
    def wait(self, hours: int) -> None:
        self.server.clock.move(hours=hours)

    @rule()
    def sweep(self) -> None:
        gone = self.run(self.server.sweep())
        assert gone.bundles == set(self.model.expire(self.now))
        self.model.give_up(self.now)
        assert gone.blobs == set(self.model.delete(self.now))

    @rule()
    def restart(self) -> None:
        self.run(self.server.restart())

    @invariant()
    def counts_agree(self) -> None:
        for tenant in TENANTS:
            usage = self.run(self.server.usage(tenant))
            if usage is None:
                assert not [bundle for bundle in self.model.bundles if bundle.tenant == tenant]
                continue
            living = self.model.living(tenant)
            held = [content for owner, content in self.model.held if owner == tenant]
            wanted = [content for bundle in living if not bundle.sealed for content in self.model.missing(bundle)]
            assert usage.bundles == len(living)
            assert usage.bundle_size == sum(len(content) for bundle in living for content in bundle.contents)
            assert (usage.blobs, usage.blob_size) == (len(held), sum(map(len, held)))
            assert usage.reserved == sum(map(len, wanted))


def test_the_domain_agrees_with_the_model() -> None:
    quick = settings(max_examples=25, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(ServerAgainstModel, settings=quick)
