"""What a server holds: taken before and after a hostile request, it shows that nothing was left behind."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import Connection, func, select

from staging_server.metadata.tables import schema, tenants
from tests.staging_server.live import Live

_TOLD = frozenset({"audit", "leases"})
"""Tables that grow with every refusal, or with time."""


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """Rows by table, files below the folder, reserved bytes, uploads under way, and connections but our own."""

    rows: Mapping[str, int]
    files: frozenset[str]
    reserved: int
    uploads: int
    connections: int


async def holdings(live: Live) -> Holdings:
    """Return what the server holds now."""
    parts = live.server.state.parts
    rows, reserved = await parts.metadata.read(_count, None)
    folder = parts.settings.storage.folder
    return Holdings(
        rows=rows,
        files=await asyncio.to_thread(_files, folder),
        reserved=reserved,
        uploads=parts.uploads.in_flight,
        connections=await asyncio.to_thread(_connections, live.port),
    )


def _count(connection: Connection, _: None) -> tuple[dict[str, int], int]:
    rows = {
        table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
        for table in schema.sorted_tables
        if table.name not in _TOLD
    }
    return rows, int(connection.execute(select(func.coalesce(func.sum(tenants.c.reserved), 0))).scalar_one())


def _files(folder: Path) -> frozenset[str]:
    return frozenset(str(path) for path in folder.rglob("*") if path.is_file() and "sqlite3" not in path.name)


def _connections(port: int) -> int:
    """Count what is open on the server's side of `port`."""
    mine = psutil.Process().net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in mine)
