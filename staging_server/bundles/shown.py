"""A bundle as the API shows it."""

from staging_protocol.api.bundles import Bundle, BundleState
from staging_protocol.digests import Digest
from staging_protocol.tokens import BundleId
from staging_server.metadata.lives import owner_of, pin_of, remembered
from staging_server.metadata.rows import AnyRow
from staging_server.retention.deciding import decide
from staging_server.retention.policies import Policy
from staging_server.times import maybe_moment, moment_of


def bundle_of(row: AnyRow, policy: Policy) -> Bundle:
    """Return the bundle of a row with `rows.COLUMNS`."""
    created_at = moment_of(row.created_at)
    return Bundle(
        id=BundleId(row.id),
        namespace=row.namespace,
        application=row.application,
        state=BundleState(row.state),
        created_at=created_at,
        created_by=row.created_by,
        last_activity_at=moment_of(row.last_activity_at),
        # Seen from its creation every claim still holds, so that `until` is the latest end of all.
        expires_at=decide(remembered(row), policy, created_at).until,
        files=row.files,
        size=row.size,
        manifest_digest=Digest(row.manifest_digest),
        owner=owner_of(row),
        pin=pin_of(row),
        lease_until=maybe_moment(row.lease_until),
    )
