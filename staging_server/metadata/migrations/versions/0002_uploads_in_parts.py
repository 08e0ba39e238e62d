"""Uploads that come in parts: their state, writer and progress."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand: columns that a program of version 0001 leaves empty, as uploads of whole blobs do."""
    op.add_column("uploads", sa.Column("state", sa.String(length=8), nullable=True))
    op.add_column("uploads", sa.Column("size", sa.BigInteger(), nullable=True))
    op.add_column("uploads", sa.Column("arrived", sa.BigInteger(), nullable=True))
    op.add_column("uploads", sa.Column("created_by", sa.String(length=253), nullable=True))
    op.add_column("uploads", sa.Column("epoch", sa.BigInteger(), nullable=True))
    op.add_column("uploads", sa.Column("last_activity_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_uploads_last_activity_at",
        "uploads",
        ["last_activity_at"],
        unique=False,
        sqlite_where=sa.text("last_activity_at IS NOT NULL"),
        postgresql_where=sa.text("last_activity_at IS NOT NULL"),
    )
    op.create_index(
        "ix_uploads_open",
        "uploads",
        ["tenant_id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "ix_uploads_ended",
        "uploads",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'ended'"),
        postgresql_where=sa.text("state = 'ended'"),
    )


def downgrade() -> None:
    """Not supported: restore a back-up."""
    raise NotImplementedError
