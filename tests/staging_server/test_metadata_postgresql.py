"""The same queries on PostgreSQL: contract, a whole life, and the deletion race between two processes' connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from staging_protocol.api.bundles import Lease, Pin
from staging_protocol.api.reports import Outcome, Report
from staging_protocol.errors import BundleExpired, DigestMismatch, NotFound, TransientError
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import Token
from staging_server.metadata import creation, new_bundles
from staging_server.metadata.base import Metadata
from staging_server.metadata.store import open_metadata
from staging_server.metadata.tables import blobs, schema, uploads
from staging_server.settings import StorageSettings
from tests.conftest import missing
from tests.contracts.metadata_store import MetadataContract
from tests.contracts.upload_take_over import TakeOverContract, Two
from tests.staging_server import postgresql
from tests.staging_server.domain import ALICE, BLUE, RED, Domain, open_domain
from tests.staging_server.parts_domain import append, begin, offset_of

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    programs = postgresql.find_programs()
    if programs is None:
        missing("PostgreSQL's server is not installed (Debian: postgresql)")
        return
    with postgresql.running(programs) as url:
        yield url


@pytest.fixture
async def url(server: URL) -> str:
    """A database without tables."""
    engine = create_async_engine(server.set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
    return server.render_as_string(hide_password=False)


@pytest.fixture
async def metadata(url: str, tmp_path: Path) -> AsyncIterator[Metadata]:
    async with open_metadata(StorageSettings(folder=tmp_path, database_url=SecretStr(url))) as opened:
        yield opened


@pytest.fixture
async def two(url: str, tmp_path: Path) -> AsyncIterator[Two]:
    async with open_domain(tmp_path, database_url=url) as one, open_domain(tmp_path, database_url=url) as other:
        yield one, other


class TestPostgresql(MetadataContract):
    pass


class TestTwoOnPostgresql(TakeOverContract):
    pass


async def test_uploads_in_parts_on_postgresql(url: str, tmp_path: Path) -> None:
    quota = {"namespace_size": 100, "open_uploads_per_namespace": 2}
    async with open_domain(tmp_path, database_url=url, limits=quota, retention={"upload_keep": 3600}) as domain:
        contents = [bytes([letter]) * 30 for letter in b"abc"]
        over = await domain.create(*contents[:2])
        first, second = [await begin(domain, content) for content in contents[:2]]
        for upload, content in ((first, contents[0]), (second, contents[1])):
            await append(domain, upload, content[:20])
            domain.clock.move(minutes=1)
        await domain.parts.bundles.delete(RED, over.id, caller=ALICE)
        await domain.create(b"d" * 70)  # the first one makes room
        with pytest.raises(NotFound):
            await offset_of(domain, first)
        assert await offset_of(domain, second) == 20
        assert await domain.parts.resumable.usage() == (1, 20)
        domain.clock.move(hours=1)
        await domain.sweep()
        assert (await domain.upload_files(), await domain.count(uploads)) == ([], 0)
        last = await begin(domain, b"d" * 70)
        with pytest.raises(DigestMismatch):
            await append(domain, last, b"e" * 70, complete=True)
        again = await begin(domain, b"d" * 70)
        await append(domain, again, b"d" * 70, complete=True)
        assert (await domain.parts.resumable.standing(RED, again, caller=ALICE)).state.complete
        await domain.parts.resumable.cancel(RED, again, caller=ALICE, anybody=False)
        assert len(await domain.stored_files()) == 1


async def test_the_migrations_make_the_tables_that_the_code_uses(metadata: Metadata) -> None:
    def differences(connection: Connection, _nothing: None) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), schema))

    assert await metadata.read(differences, None) == []


async def test_a_whole_life_on_postgresql(url: str, tmp_path: Path) -> None:
    async with open_domain(tmp_path, database_url=url) as domain:
        first = await domain.stage(b"one", b"two", key="k")
        assert (await domain.create(b"one", b"two", key="k")).id == first.id
        assert (await domain.create(b"one", b"two")).sealed
        other = await domain.stage(b"one", tenant=BLUE)
        assert await domain.read(other, tenant=BLUE) == b"one"
        assert len((await domain.parts.overview.list(None, cursor=None, limit=10)).bundles) == 3
        assert (await domain.parts.overview.usage(RED)).namespaces[0].blob_size == 6
        assert (await domain.parts.overview.explain(RED, first.id)).verdict
        again = await domain.create(b"one", b"two", key="k")
        await domain.parts.bundles.open_with_token(RED, first.id, Token.parse(again.token))
        report = Report(outcome=Outcome.SUCCEEDED, role="driver", pod="pod", exit_code=0, seconds=1.0)
        await domain.parts.bundles.add_report(RED, first.id, report, caller=ALICE)
        await domain.parts.bundles.pin(RED, first.id, Pin(reason="audit"), caller=ALICE)
        await domain.parts.bundles.unpin(RED, first.id, caller=ALICE)
        await domain.parts.bundles.lease(RED, first.id, Lease(seconds=60), caller=ALICE)
        owner = OwnerReference(api_version="v1", kind="Pod", name="driver")
        assert (await domain.parts.bundles.bind(RED, first.id, owner, caller=ALICE)).owner == owner
        last = await domain.parts.bundles.new_token(RED, first.id, caller=ALICE)
        await domain.parts.bundles.touch(RED, first.id, caller=ALICE, size=1)
        domain.clock.move(days=8)
        assert len((await domain.sweep()).bundles) == 3
        with pytest.raises(BundleExpired):
            await domain.parts.bundles.open_with_token(RED, first.id, Token.parse(last.token))
        domain.clock.move(days=8)
        await domain.sweep()
        domain.clock.move(days=8)
        await domain.sweep()
        domain.clock.move(days=8)
        await domain.sweep()
        assert await domain.stored_files() == []
        assert await domain.count(blobs) == 0


async def test_replicas_that_start_together_migrate_once(url: str, tmp_path: Path) -> None:
    async def start() -> None:
        async with open_metadata(StorageSettings(folder=tmp_path, database_url=SecretStr(url))):
            pass

    await asyncio.gather(*(start() for _ in range(3)))


async def test_creates_and_sweeps_of_two_replicas_never_lose_a_held_blob(url: str, tmp_path: Path) -> None:
    """At READ COMMITTED this deletes held blobs unless each look comes after its lock (DESIGN 7)."""
    quick = {"blob_keep": 0.000_001, "blob_grace": 0}
    async with (
        open_domain(tmp_path, database_url=url, retention=quick) as one,
        open_domain(tmp_path, database_url=url, retention=quick, clock=one.clock) as other,
    ):
        running = True

        async def sweep() -> None:
            while running:
                one.clock.move(microseconds=10)
                # One that loses a race is told to try again.
                with contextlib.suppress(TransientError):
                    await other.sweep()

        async def use(content: bytes) -> None:
            for _ in range(8):
                created = await one.create(content)
                if not created.sealed:
                    await one.put(content)
                    await one.parts.bundles.seal(RED, created.id, caller=ALICE)
                assert await one.read(created) == content
                await one.parts.bundles.delete(RED, created.id, caller=ALICE)

        sweeping = asyncio.create_task(sweep())
        await asyncio.gather(*(use(bytes([number]) * 100) for number in range(3) for _ in range(2)))
        running = False
        await sweeping
        for _ in range(3):
            one.clock.move(days=1)
            await one.sweep()
        assert await one.stored_files() == []
        assert await one.count(blobs) == 0


class Gate:
    """Stops a transaction of the server at a chosen place, until it is opened: an advisory lock."""

    _WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    _PASS = text("SELECT pg_advisory_xact_lock(42)")

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def close(self) -> None:
        """Let nobody pass."""
        await self._connection.execute(text("SELECT pg_advisory_lock(42)"))

    async def open(self) -> None:
        """Let everybody pass."""
        await self._connection.execute(text("SELECT pg_advisory_unlock(42)"))

    def pass_through(self, connection: Connection) -> None:
        """Wait, in a transaction of the server."""
        connection.execute(self._PASS)

    async def wait_for(self, waiting: int, *, unless: asyncio.Future[Any]) -> None:
        """Return when `waiting` transactions wait for locks, or `unless` is done."""
        async with asyncio.timeout(30):
            while not unless.done():
                if (await self._connection.execute(self._WAITING)).scalar_one() >= waiting:
                    return
                await asyncio.sleep(0.01)


@pytest.fixture
async def gate(url: str) -> AsyncIterator[Gate]:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        yield Gate(connection)
    await engine.dispose()


@pytest.mark.parametrize("place", ["before its rows are written", "before its commit"])
async def test_a_sweep_waits_for_a_create_that_was_answered_held(
    url: str, tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Without the create's shared lock, or the sweep's own, the tenant loses a blob that its new bundle has."""
    # All within an hour: later, a create also writes the last use again, which would guard the blob by itself.
    quick = {"blob_keep": 60, "blob_grace": 0}
    async with (
        open_domain(tmp_path, database_url=url, retention=quick) as one,
        open_domain(tmp_path, database_url=url, retention=quick, clock=one.clock) as other,
    ):
        old = await one.stage(b"content")
        await one.parts.bundles.delete(RED, old.id, caller=ALICE)
        one.clock.move(minutes=2)

        insert, create = new_bundles.insert_bundles, creation.create_bundles

        def insert_slowly(connection: Connection, fresh: Any) -> None:
            gate.pass_through(connection)
            insert(connection, fresh)

        def create_slowly(connection: Connection, items: Any) -> Any:
            created = create(connection, items)
            gate.pass_through(connection)
            return created

        if place == "before its commit":
            monkeypatch.setattr("staging_server.bundles.creation.create_bundles", create_slowly)
        else:
            monkeypatch.setattr("staging_server.metadata.creation.insert_bundles", insert_slowly)
        await gate.close()
        creating = asyncio.create_task(one.create(b"content"))
        await gate.wait_for(1, unless=creating)
        sweeping = asyncio.create_task(_sweep_twice(other))
        await gate.wait_for(2, unless=sweeping)
        await gate.open()
        created = await creating
        await sweeping
        assert created.files == ("held",)
        assert await one.read(created) == b"content"
        assert (await one.create(b"content")).files == ("held",)


async def _sweep_twice(domain: Domain) -> None:
    await domain.sweep()
    domain.clock.move(seconds=1)
    await domain.sweep()
