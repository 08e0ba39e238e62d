"""How many bundles are kept by what, as far as the database knows: for gauges.

Cheap, so that it can be asked every minute: what Kubernetes claims, leases and pins have indexes or tables of their
own, and the rest is what is left of the tenants' counts.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, func, or_, select

from staging_server.metadata.partial_indexes import KUBERNETES_CLAIMS
from staging_server.metadata.tables import bundles, pins, sightings, tenants

_COUNT: Final = select(func.count())
_OWNER: Final = _COUNT.where(
    KUBERNETES_CLAIMS, sightings.c.owner_first_seen.is_not(None), sightings.c.owner_ended_at.is_(None)
).select_from(sightings)
_POD: Final = _COUNT.where(
    KUBERNETES_CLAIMS, sightings.c.pods_first_seen.is_not(None), sightings.c.pods_ended_at.is_(None)
).select_from(sightings)
_CLAIMED: Final = _COUNT.where(KUBERNETES_CLAIMS).select_from(sightings)
_ENDED: Final = _COUNT.where(
    ~sightings.c.claimed, or_(sightings.c.owner_ended_at.is_not(None), sightings.c.pods_ended_at.is_not(None))
).select_from(sightings)
_LEASE: Final = _COUNT.where(bundles.c.lease_until > bindparam("now")).select_from(bundles)
_PIN: Final = _COUNT.where(or_(pins.c.until.is_(None), pins.c.until > bindparam("now"))).select_from(pins)
_ALL: Final = select(func.coalesce(func.sum(tenants.c.bundles), 0))


def count_claims(connection: Connection, now: int) -> Mapping[str, int]:
    """Return the number of bundles by the kind of claim; one may have several: a query."""
    counted = {
        kind: int(connection.execute(statement, {"now": now}).scalar_one())
        for kind, statement in (("owner", _OWNER), ("pod", _POD), ("grace", _ENDED), ("lease", _LEASE), ("pin", _PIN))
    }
    claimed = int(connection.execute(_CLAIMED).scalar_one())
    everything = int(connection.execute(_ALL).scalar_one())
    # Who was never claimed by Kubernetes lives by time, whatever else keeps it.
    return {**counted, "time-to-live": max(0, everything - claimed - counted["grace"])}
