"""The tables. A change here comes with a migration in `migrations/versions/`, never without.

Only types that SQLite and PostgreSQL both have; times are integers, nanoseconds since the epoch.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

DOCUMENT = JSON().with_variant(JSONB(), "postgresql")

RESOURCES = Table(
    "resources",
    METADATA,
    Column("kind", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),  # the name in lower case: identity
    Column("name", String(255), nullable=False),  # the name as given
    Column("arn", String(512), nullable=False, unique=True),
    Column("spec", DOCUMENT, nullable=False),
    Column("status", DOCUMENT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
)

TAGS = Table(
    "tags",
    METADATA,
    Column("arn", String(512), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)

EXECUTIONS = Table(
    "executions",
    METADATA,
    Column("schedule_id", String(36), primary_key=True),  # a name may be used again: this is not
    Column("scheduled_ns", BigInteger, primary_key=True),
    Column("schedule", String(63), nullable=False),
    Column("key", String(63), nullable=False, index=True),  # the schedule's name in lower case
    Column("endpoint", String(63), nullable=False),
    Column("definition", String(63), nullable=True),  # the job definition's name, if it has one
    Column("monitoring_type", String(32), nullable=False),
    Column("status", String(32), nullable=False, index=True),
    Column("job", String(63), nullable=True),
    Column("failure", Text, nullable=True),
    Column("violations", Integer, nullable=True),  # their number, where the job has told it
    Column("spec", DOCUMENT, nullable=False),  # what runs, as it was when it was due
    Column("version", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("schedule_id", String(36), primary_key=True),  # a schedule has one
    Column("schedule", String(63), nullable=False),
    Column("datapoints", Integer, nullable=False),
    Column("period", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
)

ALERT_TURNS = Table(
    "alert_turns",
    METADATA,
    Column("id", Integer, primary_key=True),  # in the order of their coming
    Column("schedule_id", String(36), nullable=False, index=True),
    Column("schedule", String(63), nullable=False),
    Column("status", String(16), nullable=False),
    Column("datapoints", Integer, nullable=False),
    Column("period", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

NOTICES = Table(
    "notices",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("body", Text, nullable=False),  # as it is sent
    Column("attempts", Integer, nullable=False),
    Column("due_ns", BigInteger, nullable=False, index=True),  # when it is tried next
    Column("created_ns", BigInteger, nullable=False),
)

METRICS = Table(
    "metrics",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),  # of the next three: identity
    Column("namespace", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("dimensions", Text, nullable=False),  # JSON: pairs in order of their names
    Column("latest", Integer, nullable=False),  # minute of its newest point
    Index("ix_metrics_namespace", "namespace", "name"),
)

POINTS = Table(
    "points",
    METADATA,
    Column("metric", Integer, primary_key=True, autoincrement=False),
    Column("minute", Integer, primary_key=True, autoincrement=False),  # since the epoch
    Column("unit", String(32), primary_key=True),
    Column("samples", Double, nullable=False),
    Column("total", Double, nullable=False),
    Column("least", Double, nullable=False),
    Column("most", Double, nullable=False),
    Index("ix_points_minute", "minute"),
)

METRIC_SOURCES = Table(
    "metric_sources",
    METADATA,
    Column("source", String(255), primary_key=True),  # whose points are in: never taken twice
    Column("minute", Integer, nullable=False),
)

ALARMS = Table(
    "alarms",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("arn", String(512), nullable=False, unique=True),
    Column("spec", DOCUMENT, nullable=False),
    Column("status", DOCUMENT, nullable=False),
    Column("history", DOCUMENT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("configured_ns", BigInteger, nullable=False),
)
