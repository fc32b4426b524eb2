"""Metrics, their points, whose points are in, and alarms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    _metrics()
    _points()
    op.create_table(
        "metric_sources",
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_metric_sources"),
    )
    op.create_table(
        "alarms",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("arn", sa.String(512), nullable=False),
        sa.Column("spec", _DOCUMENT, nullable=False),
        sa.Column("status", _DOCUMENT, nullable=False),
        sa.Column("history", _DOCUMENT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("configured_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_alarms"),
        sa.UniqueConstraint("arn", name="uq_alarms_arn"),
    )


def _metrics() -> None:
    op.create_table(
        "metrics",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("namespace", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("dimensions", sa.Text(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metrics"),
        sa.UniqueConstraint("digest", name="uq_metrics_digest"),
    )
    op.create_index("ix_metrics_namespace", "metrics", ["namespace", "name"])


def _points() -> None:
    op.create_table(
        "points",
        sa.Column("metric", sa.Integer(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("samples", sa.Double(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("least", sa.Double(), nullable=False),
        sa.Column("most", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("metric", "minute", "unit", name="pk_points"),
    )
    op.create_index("ix_points_minute", "points", ["minute"])
