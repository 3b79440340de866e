"""The ledger: what was intended and what was confirmed, one row a step, never changed but to confirm it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("ledger",)
depends_on = None


def upgrade() -> None:
    """Create the ledger."""
    op.create_table(
        "seam_ledger",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("slice", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text),
        sa.Column("to_state", sa.Text),
        sa.Column("intent_at", sa.Float, nullable=False),
        sa.Column("confirmed_at", sa.Float),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("plan_hash", sa.Text),
        sa.Column("evidence", sa.JSON),
        sa.Column("error", sa.Text),
    )
    op.create_index("seam_ledger_slice", "seam_ledger", ["slice", "id"])


def downgrade() -> None:
    """Drop the ledger."""
    op.drop_table("seam_ledger")
