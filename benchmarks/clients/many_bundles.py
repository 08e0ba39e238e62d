"""Fills a database with bundles, or measures what a server does with as many: a process of its own, for its memory.

many_bundles.py fill FOLDER COUNT       rows as creates leave them; one of a hundred is claimed by Kubernetes
many_bundles.py probe FOLDER EXPIRED    list, explain, an idle sweep, a sweep that ends EXPIRED bundles; JSON
"""

import asyncio
import json
import resource
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from staging_protocol.digests import Digest
from staging_protocol.tokens import BundleId
from staging_server.audit import SWEEPER
from staging_server.metadata.migrations.migrate import migrate_sqlite
from staging_server.metadata.store import DATABASE_FILE
from staging_server.metadata.threaded import ThreadedDatabase
from staging_server.parts import ServerParts, open_server_parts
from staging_server.retention.sights import UNKNOWN
from staging_server.settings import Settings, StorageSettings
from staging_server.tenants import Tenant
from staging_server.times import micros, utc_now

_TENANTS: Final = 10
_DIGEST: Final = str(Digest.of(b"the jar of everybody"))
_BUNDLE: Final = """
    INSERT INTO bundles (number, id, tenant_id, application, state, created_at, created_by, last_activity_at,
                         next_check, files, size, reserved, token_hash, token_used, manifest_digest, manifest)
    VALUES (?, ?, ?, 'job', 'sealed', ?, 'bench', ?, ?, 1, 20, 0, ?, 1, ?, ?)
"""
_REPEATS: Final = 20


def fill(folder: Path, count: int) -> None:
    """Write `count` sealed bundles of one file."""
    folder.mkdir(parents=True)
    database = ThreadedDatabase(folder / DATABASE_FILE, settings=StorageSettings(folder=folder))
    migrate_sqlite(database.engine)
    database.engine.dispose()
    connection = sqlite3.connect(folder / DATABASE_FILE)
    connection.execute("PRAGMA synchronous = off")
    now = micros(utc_now())
    per_tenant = count // _TENANTS
    connection.executemany(
        "INSERT INTO tenants VALUES (?, 'local', ?, ?, ?, ?, 1, 20, 0)",
        ((n, f"team-{n}", f"uid-{n}", per_tenant, 20 * per_tenant) for n in range(1, _TENANTS + 1)),
    )
    connection.execute("INSERT INTO blobs VALUES (?, 'stored', 20, ?, NULL, NULL)", (_DIGEST, _DIGEST))
    connection.executemany(
        "INSERT INTO tenant_blobs VALUES (?, ?, ?)", ((n, _DIGEST, now) for n in range(1, _TENANTS + 1))
    )
    later = now + timedelta(days=7) // timedelta(microseconds=1)
    manifest = b"{" + b" " * 500 + b"}"
    connection.executemany(
        _BUNDLE,
        (
            # One of a hundred waits for an event, as bundles do that Kubernetes claims.
            (
                n,
                BundleId.generate(),
                n % _TENANTS + 1,
                now,
                now,
                later if n % 100 else None,
                "0" * 64,
                _DIGEST,
                manifest,
            )
            for n in range(1, count + 1)
        ),
    )
    connection.executemany(
        "INSERT INTO bundle_files VALUES (?, 'jar', 'a.jar', ?, 20)", ((n, _DIGEST) for n in range(1, count + 1))
    )
    connection.executemany(
        "INSERT INTO sightings (bundle, claimed, pods_first_seen, pods_last_seen) VALUES (?, 1, ?, ?)",
        ((n, now, now) for n in range(100, count + 1, 100)),
    )
    connection.commit()
    connection.close()


async def probe(folder: Path, expired: int) -> dict[str, float]:
    """Return seconds, and the growth of memory in bytes over everything after the parts are open."""
    settings = Settings(storage=StorageSettings(folder=folder))
    begun = time.perf_counter()
    async with open_server_parts(settings, sights=UNKNOWN) as parts:
        found = {"open": time.perf_counter() - begun}
        await _sweep(parts)  # reconciles all counts, which it does once a day
        before = _memory()
        tenant = Tenant(namespace="team-1", uid="uid-1")
        page = await parts.overview.list(tenant, cursor=None, limit=100)
        found["list of a namespace"] = await _median(lambda: parts.overview.list(tenant, cursor=page.next, limit=100))
        found["list of all"] = await _median(lambda: parts.overview.list(None, cursor=None, limit=100))
        found["explain"] = await _median(lambda: parts.overview.explain(tenant, page.bundles[0].id))
        found["idle sweep"] = await _median(lambda: _sweep(parts), repeats=3)
        found["usage and claims"] = await _median(lambda: _count(parts), repeats=3)
        await asyncio.to_thread(_expire, folder, expired)
        found["sweep of what expired"] = await _median(lambda: _sweep(parts), repeats=1)
        found["memory"] = _memory() - before
    return found


async def _sweep(parts: ServerParts) -> None:
    await parts.sweeper.sweep(dry_run=False, caller=SWEEPER)


async def _count(parts: ServerParts) -> None:
    await parts.overview.usage(None)
    await parts.overview.claims()


async def _median(do: Callable[[], Awaitable[Any]], *, repeats: int = _REPEATS) -> float:
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        await do()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[len(taken) // 2]


def _expire(folder: Path, count: int) -> None:
    """Let the oldest bundles of tenants from before Kubernetes be over: time alone ends them."""
    connection = sqlite3.connect(folder / DATABASE_FILE, timeout=60)
    connection.execute("UPDATE tenants SET uid = '' WHERE id = 2")
    some = "SELECT number FROM bundles WHERE tenant_id = 2 AND next_check IS NOT NULL LIMIT ?"
    connection.execute(
        f"UPDATE bundles SET next_check = 0, last_activity_at = 0, created_at = 0 WHERE number IN ({some})",  # noqa: S608 - a constant
        (count,),
    )
    connection.commit()
    connection.close()


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Do what the command line says."""
    what, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "fill":
        fill(folder, number)
    else:
        print(json.dumps(asyncio.run(probe(folder, number))))


if __name__ == "__main__":
    main()
