"""What tenants hold: blobs that are stored and theirs, so that nobody has to bring their bytes again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from staging_protocol.api.creation import NewFile
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch
from staging_server.metadata.tables import STORED, blobs, tenant_blobs

_IN: Final = 500
"""Digests in one `IN`: far below the limits of both databases (32,766 and 32,767 parameters)."""

_USE_AGAIN: Final = 3600 * 1_000_000
"""Microseconds: a blob's last use is written at most once an hour, since it is kept for days."""

_HELD: Final = (
    select(blobs.c.digest, blobs.c.size, tenant_blobs.c.last_used)
    .join(tenant_blobs, tenant_blobs.c.digest == blobs.c.digest)
    .where(
        tenant_blobs.c.tenant_id == bindparam("tenant_id"),
        blobs.c.digest.in_(bindparam("digests", expanding=True)),
        blobs.c.state == STORED,
    )
    .order_by(blobs.c.digest)
    # KEY SHARE, as the foreign key takes it: it waits for those who delete, and for nobody else.
    .with_for_update(read=True, key_share=True, of=(blobs, tenant_blobs))
)
_USED: Final = (
    update(tenant_blobs)
    .where(tenant_blobs.c.tenant_id == bindparam("of_tenant"), tenant_blobs.c.digest == bindparam("of_digest"))
    .values(last_used=bindparam("now"))
)

Held = dict[Digest, tuple[int, int]]
"""Size and last use of the blobs that a tenant has."""


def find_held(connection: Connection, asked: Mapping[int, Iterable[Digest]]) -> dict[int, Held]:
    """Return what tenants hold of the digests that are asked about, and keep it from being deleted meanwhile."""
    return {
        tenant_id: {
            row.digest: (row.size, row.last_used)
            # Everybody takes locks in the order of the digests, so that nobody waits in a circle.
            for some in _slices(sorted(digests))
            for row in connection.execute(_HELD, {"tenant_id": tenant_id, "digests": some})
        }
        for tenant_id, digests in asked.items()
    }


def is_held(file: NewFile, held: Held) -> bool:
    """Tell whether a tenant has the bytes of `file`.

    Raises:
        DigestMismatch: it has a blob of that digest, but with another size.
    """
    known = held.get(file.digest)
    if known is not None and known[0] != file.size:
        msg = f"{file.name} cannot have {file.size} bytes: the blob {file.digest} has {known[0]}"
        raise DigestMismatch(msg)
    return known is not None


def note_use(connection: Connection, uses: Iterable[tuple[int, Digest, int]], held: Mapping[int, Held]) -> None:
    """Write down that blobs are used again, by tenant, digest and time; those of which it is known are passed over."""
    used: dict[tuple[int, Digest], int] = {}
    for tenant_id, digest, now in uses:
        last = held[tenant_id].get(digest)
        if last is not None and last[1] < now - _USE_AGAIN:
            used[tenant_id, digest] = now
    if used:
        connection.execute(
            _USED,
            [{"of_tenant": tenant, "of_digest": str(digest), "now": now} for (tenant, digest), now in used.items()],
        )


def _slices(digests: Sequence[Digest]) -> Iterable[list[str]]:
    for start in range(0, len(digests), _IN):
        yield [str(digest) for digest in digests[start : start + _IN]]
