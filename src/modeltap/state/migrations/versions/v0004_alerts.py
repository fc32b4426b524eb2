"""Alerts of monitoring schedules, what they went through, and notices to the webhook."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("executions", sa.Column("violations", sa.Integer(), nullable=True))
    alerts = _alerts()
    op.create_table(
        "alert_turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("schedule_id", sa.String(36), nullable=False),
        sa.Column("schedule", sa.String(63), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("datapoints", sa.Integer(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_turns"),
    )
    op.create_index("ix_alert_turns_schedule_id", "alert_turns", ["schedule_id"])
    op.create_table(
        "notices",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    op.create_index("ix_notices_due_ns", "notices", ["due_ns"])
    _give_each_schedule_its_alert(alerts)


def _alerts() -> sa.Table:
    return op.create_table(
        "alerts",
        sa.Column("schedule_id", sa.String(36), nullable=False),
        sa.Column("schedule", sa.String(63), nullable=False),
        sa.Column("datapoints", sa.Integer(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("schedule_id", name="pk_alerts"),
    )


def _give_each_schedule_its_alert(alerts: sa.Table) -> None:
    """It is OK until the next execution ends."""
    schedules = sa.text(
        "SELECT name, status, created_ns FROM resources WHERE kind = 'monitoring-schedule'"
    )
    for name, status, created_ns in op.get_bind().execute(schedules).all():
        document = json.loads(status) if isinstance(status, str) else status
        row = {"schedule_id": document["Id"], "schedule": name, "datapoints": 1, "period": 1}
        row |= {"status": "OK", "created_ns": created_ns, "modified_ns": created_ns}
        op.bulk_insert(alerts, [row])
