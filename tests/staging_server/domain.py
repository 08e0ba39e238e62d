"""The domain of the server without HTTP: its parts over a folder, a clock that tests move, and blockbuster watching."""

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blockbuster import blockbuster_ctx
from sqlalchemy import Connection, Table, func, select

from staging_protocol.api.creation import CreatedBundle, NewBundle, NewFile, Retention
from staging_protocol.api.info import PodEndpoint
from staging_protocol.api.operators import Sweep
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.audit import SWEEPER
from staging_server.metadata.migrations.migrate import migrate_sqlite
from staging_server.metadata.store import DATABASE_FILE
from staging_server.metadata.threaded import ThreadedDatabase
from staging_server.parts import ServerParts, open_server_parts
from staging_server.retention.sights import Sights
from staging_server.settings import Settings, StorageSettings
from staging_server.tenants import Caller, Tenant
from staging_server.uploads.receiving import Body

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RED = Tenant(namespace="red")
BLUE = Tenant(namespace="blue")
ALICE = Caller(name="token:alice", address="127.0.0.1", request_id="request-1")
PODS = PodEndpoint(url="http://staging:8480")


class MovableClock:
    """Stands still until a test moves it."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **duration: float) -> None:
        """Go on by `timedelta(**duration)`."""
        self.now += timedelta(**duration)


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The opened parts, with short ways to do what most tests do first."""

    parts: ServerParts
    clock: MovableClock
    folder: Path

    async def create(
        self,
        *contents: bytes,
        tenant: Tenant = RED,
        key: str | None = None,
        body_hash: str = "0" * 64,
        body: NewBundle | None = None,
        **fields: Any,
    ) -> CreatedBundle:
        """Create a bundle of files `0.jar`, `1.jar`, … with these contents."""
        wanted = body or bundle_of(*contents, **fields)
        return await self.parts.creation.create(tenant, wanted, caller=ALICE, idempotency_key=key, body_hash=body_hash)

    async def put(self, content: bytes, *, tenant: Tenant = RED, digest: Digest | None = None) -> None:
        """Upload `content`, in two chunks."""
        chunks = chunks_of(content[: len(content) // 2], content[len(content) // 2 :])
        await self.parts.uploads.put(tenant, digest or Digest.of(content), len(content), chunks, caller=ALICE)

    async def stage(self, *contents: bytes, tenant: Tenant = RED, **fields: Any) -> CreatedBundle:
        """Create, upload what is wanted, seal."""
        created = await self.create(*contents, tenant=tenant, **fields)
        for content, state in zip(contents, created.files, strict=True):
            if state == "wanted":
                await self.put(content, tenant=tenant)
        if not created.sealed:
            await self.parts.bundles.seal(tenant, created.id, caller=ALICE)
        return created

    async def read(self, bundle: CreatedBundle | BundleId, name: str = "0.jar", *, tenant: Tenant = RED) -> bytes:
        """Return the bytes of a file of a bundle."""
        bundle_id = bundle.id if isinstance(bundle, CreatedBundle) else bundle
        found = await self.parts.bundles.find_file(tenant, bundle_id, kind=Kind.JAR, name=FileName(name))
        blob = await self.parts.blobs.open(found.key)
        try:
            return await blob.read(0, size=found.size + 1)
        finally:
            await blob.close()

    async def sweep(self, *, dry_run: bool = False) -> Sweep:
        """Sweep now."""
        return await self.parts.sweeper.sweep(dry_run=dry_run, caller=SWEEPER)

    async def rows(self, table: Table) -> Sequence[Any]:
        """Return all rows of a table."""
        return await self.parts.metadata.read(_rows, table)

    async def count(self, table: Table) -> int:
        """Return the number of rows of a table."""
        return await self.parts.metadata.read(_count, table)

    async def stored_files(self) -> list[Path]:
        """Return what lies committed in the folder of blobs."""
        return await asyncio.to_thread(_files_below, self.folder / "sha256")

    async def upload_files(self) -> list[Path]:
        """Return what lies under `uploads`."""
        return await asyncio.to_thread(_files_below, self.folder / "uploads")


@contextlib.asynccontextmanager
async def open_domain(
    folder: Path,
    *,
    clock: MovableClock | None = None,
    database_url: str | None = None,
    sights: Sights | None = None,
    **groups: dict[str, Any],
) -> AsyncIterator[Domain]:
    """Open the parts over `folder`; `groups` are fields of the groups of settings."""
    if database_url is None:
        await asyncio.to_thread(_copy_empty_database, folder)
    storage = {
        # What a power cut would lose is of no interest to a test.
        "synchronous": "normal",
        "folder": folder,
        "io_threads": 2,
        "readers": 2,
        "database_url": database_url,
        **groups.pop("storage", {}),
    }
    settings = Settings(storage=storage, **groups)  # type: ignore[arg-type]  # pydantic makes the groups
    clock = clock or MovableClock()
    async with open_server_parts(settings, pods=PODS, clock=clock, sights=sights) as parts:
        with blockbuster_ctx() as watch:
            watch.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
            yield Domain(parts=parts, clock=clock, folder=folder)


def bundle_of(
    *contents: bytes,
    application: str = "app",
    remote: tuple[ManifestEntry, ...] = (),
    owner: OwnerReference | None = None,
    time_to_live: int | None = None,
) -> NewBundle:
    """Return the body of a create for files `0.jar`, `1.jar` and so on."""
    return NewBundle(
        application=application,
        files=tuple(new_file(content, name=f"{number}.jar") for number, content in enumerate(contents)),
        remote=remote,
        owner=owner,
        retention=None if time_to_live is None else Retention(time_to_live=time_to_live),
    )


def new_file(content: bytes, *, name: str, kind: Kind = Kind.JAR) -> NewFile:
    """Return the entry of a create for a file with this content."""
    return NewFile(kind=kind, name=FileName(name), size=len(content), digest=Digest.of(content))


class Pieces:
    """A body that comes in these pieces, from a client that stays."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def chunks(self) -> AsyncIterator[bytes]:
        """See `Body.chunks`."""
        return self._pieces

    @contextlib.asynccontextmanager
    async def straight(self, _size: int) -> AsyncIterator[None]:
        """See `Body.straight`: there is no connection."""
        yield None

    @contextlib.contextmanager
    def watch(self, _gone: Callable[[], None]) -> Iterator[None]:
        """See `Presence.watch`."""
        yield


def chunks_of(*chunks: bytes) -> Pieces:
    """Return a body of `chunks`."""

    async def each() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return Pieces(each())


def _is_body(pieces: Pieces) -> Body:
    return pieces


@functools.cache
def _empty_database() -> bytes:
    """Return a migrated database; migrating takes a good part of a short test."""
    with tempfile.TemporaryDirectory() as folder:
        database = ThreadedDatabase(Path(folder) / DATABASE_FILE, settings=StorageSettings())
        migrate_sqlite(database.engine)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.engine.dispose()
        return (Path(folder) / DATABASE_FILE).read_bytes()


def _copy_empty_database(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if not (folder / DATABASE_FILE).exists():
        (folder / DATABASE_FILE).write_bytes(_empty_database())


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _rows(connection: Connection, table: Table) -> Sequence[Any]:
    return connection.execute(select(table)).all()


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
