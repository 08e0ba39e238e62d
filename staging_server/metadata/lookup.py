"""Questions about bundles that change nothing."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Select, Text, and_, bindparam, cast, literal, null, select, union_all

from staging_protocol.api.bundles import BundleState
from staging_protocol.errors import NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_server.metadata.rows import COLUMNS, JOINED, OF_TENANT, AnyRow, BundleAt, one_row, tenant_parameters
from staging_server.metadata.tables import blobs, bundle_files, bundles, reports, tenants, tombstones
from staging_server.tenants import Tenant

_OF_BUNDLE: Final = and_(bundles.c.id == bindparam("bundle_id"), OF_TENANT)
_FROM_BUNDLES: Final = bundles.join(tenants, tenants.c.id == bundles.c.tenant_id)

# One statement for living, ended and unknown bundles, so that all three cost the same.
_ACCESS: Final = union_all(
    select(
        bundles.c.number,
        bundles.c.token_hash,
        bundles.c.token_used,
        bundles.c.old_token_hash,
        bundles.c.old_token_until,
        cast(null(), BigInteger).label("ended_at"),
        cast(null(), Text).label("reason"),
    )
    .select_from(_FROM_BUNDLES)
    .where(_OF_BUNDLE),
    select(
        literal(0),
        tombstones.c.token_hash,
        literal(True),
        tombstones.c.old_token_hash,
        tombstones.c.old_token_until,
        tombstones.c.ended_at,
        tombstones.c.reason,
    )
    .select_from(tombstones.join(tenants, tenants.c.id == tombstones.c.tenant_id))
    .where(tombstones.c.id == bindparam("bundle_id"), OF_TENANT),
)
_MANIFEST: Final = select(bundles.c.state, bundles.c.manifest).select_from(_FROM_BUNDLES).where(_OF_BUNDLE)
_FILE: Final = (
    select(bundles.c.state, bundle_files.c.digest, bundle_files.c.size, blobs.c.key)
    .select_from(
        _FROM_BUNDLES.outerjoin(
            bundle_files,
            and_(
                bundle_files.c.bundle == bundles.c.number,
                bundle_files.c.kind == bindparam("kind"),
                bundle_files.c.name == bindparam("name"),
            ),
        ).outerjoin(blobs, blobs.c.digest == bundle_files.c.digest)
    )
    .where(_OF_BUNDLE)
)
_REPORTS: Final = (
    select(reports.c.received_at, reports.c.body)
    .where(reports.c.bundle == bindparam("of_bundle"))
    .order_by(reports.c.number)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAt:
    """A file of a bundle, as a path names it."""

    bundle: BundleAt
    kind: Kind
    name: FileName


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf:
    """Bundles of a tenant, or of all, below the number `before`, newest first."""

    tenant: Tenant | None
    before: int | None
    limit: int
    application: str | None = None
    state: BundleState | None = None


def find_access(connection: Connection, at: BundleAt) -> AnyRow | None:
    """Return the hashes of the tokens of a bundle that lives or has ended; None for an unknown one."""
    return connection.execute(_ACCESS, at.parameters).one_or_none()


def find_manifest(connection: Connection, at: BundleAt) -> AnyRow:
    """Return state and manifest of a bundle; raises as `rows.find_bundle` does."""
    return one_row(connection, _MANIFEST, at)


def find_file(connection: Connection, file: FileAt) -> AnyRow:
    """Return state of the bundle, and digest, size and key of the file.

    Raises:
        NotFound, BundleExpired: as `rows.find_bundle`, and when the bundle has no such file.
    """
    parameters = {"kind": file.kind.value, "name": str(file.name)}
    row = one_row(connection, _FILE, file.bundle, parameters)
    if row.digest is None:
        msg = f"the bundle has no {file.kind} named {file.name}"
        raise NotFound(msg)
    return row


def find_page(connection: Connection, page: PageOf) -> list[AnyRow]:
    """Return one bundle more than the page takes, if there are more."""
    parameters: dict[str, object] = {"row_limit": page.limit + 1}
    statement: Select[Any] = select(*COLUMNS).select_from(JOINED).order_by(bundles.c.number.desc())
    if page.tenant is not None:
        # The number of the tenant first, so that the index of (tenant, number) gives the rows in their order.
        tenant = select(tenants.c.id).where(OF_TENANT).scalar_subquery()
        statement = statement.where(bundles.c.tenant_id == tenant)
        parameters |= tenant_parameters(page.tenant)
    if page.before is not None:
        statement = statement.where(bundles.c.number < bindparam("before"))
        parameters["before"] = page.before
    if page.application is not None:
        statement = statement.where(bundles.c.application == bindparam("of_application"))
        parameters["of_application"] = page.application
    if page.state is not None:
        statement = statement.where(bundles.c.state == page.state.value)
    return list(connection.execute(statement.limit(bindparam("row_limit")), parameters).all())


def find_reports(connection: Connection, number: int) -> list[AnyRow]:
    """Return the reports of a bundle, oldest first."""
    return list(connection.execute(_REPORTS, {"of_bundle": number}).all())
