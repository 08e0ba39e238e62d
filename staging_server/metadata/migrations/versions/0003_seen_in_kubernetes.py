"""What was seen in Kubernetes, and what retention remembers of itself."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand: tables, a column and indexes that a program of version 0002 does without.

    An index on `tenant_blobs` gives way to one that serves each namespace; what asks by the old one is only slower.
    """
    op.create_table(
        "sightings",
        sa.Column("bundle", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("claimed", sa.Boolean(), nullable=False),
        sa.Column("owner_key", sa.String(length=400), nullable=True),
        sa.Column("owner_uid", sa.String(length=64), nullable=True),
        sa.Column("owner_first_seen", sa.BigInteger(), nullable=True),
        sa.Column("owner_last_seen", sa.BigInteger(), nullable=True),
        sa.Column("owner_absent_since", sa.BigInteger(), nullable=True),
        sa.Column("owner_ended_at", sa.BigInteger(), nullable=True),
        sa.Column("pods_first_seen", sa.BigInteger(), nullable=True),
        sa.Column("pods_last_seen", sa.BigInteger(), nullable=True),
        sa.Column("pods_absent_since", sa.BigInteger(), nullable=True),
        sa.Column("pods_ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["bundle"], ["bundles.number"], name="fk_sightings_bundle", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bundle", name="pk_sightings"),
    )
    op.create_index("ix_sightings_owner_key", "sightings", ["owner_key"], unique=False)
    op.create_index(
        "ix_sightings_claimed",
        "sightings",
        ["bundle"],
        unique=False,
        sqlite_where=sa.text("claimed"),
        postgresql_where=sa.text("claimed"),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
    op.add_column("blobs", sa.Column("given_up", sa.String(length=8), nullable=True))
    op.create_index("ix_tenant_blobs_tenant_id_last_used", "tenant_blobs", ["tenant_id", "last_used"], unique=False)
    op.drop_index("ix_tenant_blobs_last_used", table_name="tenant_blobs")
    op.create_index(
        "ix_bundles_lease_until",
        "bundles",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("lease_until IS NOT NULL"),
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )


def downgrade() -> None:
    """Not supported: restore a back-up."""
    raise NotImplementedError
