"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand, or contract what no supported release uses."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Not supported: restore a back-up."""
    raise NotImplementedError
