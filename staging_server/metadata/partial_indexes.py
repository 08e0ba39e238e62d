"""Conditions that the partial indexes answer.

Bundles that are open or claimed by Kubernetes are few, and so are uploads in parts, and blobs that are not stored.

SQLite takes such an index only when the state is written into the statement, not bound: it decides before it sees what
is bound.
"""

from typing import Final

from sqlalchemy import Boolean, Integer, literal_column

from staging_protocol.api.bundles import BundleState
from staging_server.metadata.tables import ENDED, OPEN, STORED, blobs, bundles, uploads

BUNDLE_IS_OPEN: Final = bundles.c.state == literal_column(f"'{BundleState.OPEN.value}'")
UPLOAD_IS_OPEN: Final = uploads.c.state == literal_column(f"'{OPEN}'")
BLOB_IS_NOT_STORED: Final = blobs.c.state != literal_column(f"'{STORED}'")
UPLOAD_HAS_ENDED: Final = uploads.c.state == literal_column(f"'{ENDED}'")

KUBERNETES_CLAIMS: Final = literal_column("sightings.claimed", Boolean)

TENANT_OF_BUNDLE: Final = literal_column("+bundles.tenant_id", Integer)
"""To be used beside `BUNDLE_IS_OPEN`: the sign hides the index of the tenant from SQLite, whose bundles may be many."""
