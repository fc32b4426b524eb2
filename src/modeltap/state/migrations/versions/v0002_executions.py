"""Executions of monitoring schedules."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "executions",
        sa.Column("schedule_id", sa.String(36), nullable=False),
        sa.Column("scheduled_ns", sa.BigInteger(), nullable=False),
        sa.Column("schedule", sa.String(63), nullable=False),
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("endpoint", sa.String(63), nullable=False),
        sa.Column("definition", sa.String(63), nullable=True),
        sa.Column("monitoring_type", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("job", sa.String(63), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("spec", _DOCUMENT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("schedule_id", "scheduled_ns", name="pk_executions"),
    )
    op.create_index("ix_executions_key", "executions", ["key"])
    op.create_index("ix_executions_status", "executions", ["status"])
