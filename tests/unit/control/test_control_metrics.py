"""The page for Prometheus, read back by the format's own parser."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modeltap.capture.account import Count
from modeltap.capture.counters import PAGE_BYTES, Counters, Drop
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.inventory import Inventory
from modeltap.capture.mirror import Mirror
from modeltap.capture.standing import State, standing
from modeltap.clock import SimulatedClock
from modeltap.control.metric_files import BATCH_NAMESPACE, ENDPOINT_NAMESPACE
from modeltap.control.metrics import exposition
from modeltap.state.points import Metric, Point, Points, StatisticSet
from modeltap.state.store import Store
from modeltap.telemetry.meters import Failure, Meters, make_pages

CHURN = ("churn", "AllTraffic")
NAMED = {"endpoint": "churn", "variant": "AllTraffic"}


@pytest.fixture
def pages() -> Iterator[int]:
    made = make_pages("meters", 1)
    yield made
    os.close(made)


@pytest.fixture
def points(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Points]:
    store = Store.open(tmp_path_factory.mktemp("state") / "state.db")
    yield Points(store)
    store.close()


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_page_tells_latencies_errors_and_records(
    pages: int, points: Points, tmp_path: Path
) -> None:
    page = Meters(pages, 0)
    page.answered(*CHURN, 100, 30)
    page.answered(*CHURN, 100_000_000, 30)
    page.failed(*CHURN, Failure.MODEL)
    spool = SpoolFolder(tmp_path / "spool", SystemDisk())
    spool.make()
    memory = memoryview(bytearray(PAGE_BYTES))
    counters = Counters(memory, lambda at, size: True)
    slot = counters.slot(*CHURN)
    for _ in range(3):
        counters.sample(slot)
    counters.drop(slot, Drop.QUEUE_FULL, 1)
    mirror = Mirror(spool.counters, SimulatedClock().uuid4(), memory, SystemDisk())
    mirror.write()
    found = samples(exposition(pages, partial(standing, Inventory(spool), []), points, 0))
    mirror.close()

    def value(name: str, prefix: str = "modeltap", **labels: str) -> float:
        return found[f"{prefix}_{name}", frozenset((NAMED | labels).items())]

    assert value("invocations_total") == 3
    assert value("invocation_errors_total", kind="model") == 1
    assert value("invocation_errors_total", kind="4xx") == 0
    assert value("model_latency_microseconds_count") == 2
    assert value("model_latency_microseconds_sum") == 100_000_100
    assert value("model_latency_microseconds_bucket", le="64") == 0
    assert value("model_latency_microseconds_bucket", le="128") == 1
    assert value("model_latency_microseconds_bucket", le="+Inf") == 2
    assert value("overhead_latency_microseconds_bucket", le="32") == 2
    assert value("sampled_total", "smcap") == 3
    assert value("dropped_total", "smcap", reason="queue_full") == 1
    assert value("pending_records", "smcap") == 0
    assert value("accounting_discrepancy", "smcap") == 2  # sampled, and the memory is gone
    assert found["smcap_state", frozenset({("state", "running")})] == 1


def test_a_ledger_that_cannot_be_read_leaves_capture_out(
    pages: int, points: Points, tmp_path: Path
) -> None:
    spool = SpoolFolder(tmp_path / "spool", SystemDisk())
    spool.make()
    spool.ledger.write_bytes(b"no database" * 1000)
    text = exposition(pages, partial(standing, Inventory(spool), []), points, 0)
    assert b"smcap" not in text
    assert b"modeltap_invocations" in text


def of_run(minute: int, name: str, value: float, namespace: str = ENDPOINT_NAMESPACE) -> Point:
    of = (("MonitoringSchedule", "hourly"),)
    if namespace == ENDPOINT_NAMESPACE:
        of = (("Endpoint", "churn"), *of)  # type: ignore[assignment]
    metric = Metric(namespace, name, of)
    return Point(metric, "None", minute, StatisticSet(1.0, value, value, value))


def test_the_monitors_gauges_are_of_the_latest_run(
    pages: int, points: Points, tmp_path: Path
) -> None:
    points.put(
        [
            of_run(60, "feature_baseline_drift_a", 0.9),
            of_run(60, "feature_baseline_drift_gone", 0.9),
            of_run(120, "feature_baseline_drift_a", 0.25),
            of_run(120, "feature_non_null_a", 1.0),
            of_run(120, "feature_data_a", 7.0),
            of_run(60, "feature_non_null_b", 0.5, BATCH_NAMESPACE),
        ]
    )
    spool = SpoolFolder(tmp_path / "spool", SystemDisk())
    found = samples(exposition(pages, partial(standing, Inventory(spool), []), points, 0))
    churn = {"endpoint": "churn", "schedule": "hourly", "feature": "a"}
    batch = {"endpoint": "", "schedule": "hourly", "feature": "b"}
    assert {key: value for key, value in found.items() if "monitor" in key[0]} == {
        ("modeltap_monitor_feature_baseline_drift", frozenset(churn.items())): 0.25,
        ("modeltap_monitor_feature_non_null", frozenset(churn.items())): 1.0,
        ("modeltap_monitor_feature_non_null", frozenset(batch.items())): 0.5,
    }


def test_a_house_without_traffic_has_a_page(pages: int, points: Points, tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path, SystemDisk())
    found = samples(exposition(pages, partial(standing, Inventory(spool), []), points, 0))
    assert {name for name, labels in found if "endpoint" in dict(labels)} == set()


PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_on_metrics_lists_what_there_is(
    pages: int, points: Points, tmp_path: Path
) -> None:
    """Each family is in a table of docs/metrics.md, and each one there is a family."""
    spool = SpoolFolder(tmp_path / "spool", SystemDisk())
    spool.make()
    count = Count("churn", "A", sampled=1, dropped={Drop.CRASH: 1}, eligible=1)
    look = replace(standing(Inventory(spool), []), counts=[count])
    text = exposition(pages, lambda: look, points, 0).decode()
    for prefix in ("smcap_", "modeltap_monitor_"):
        found = re.findall(rf"^# TYPE ({prefix}\w+) ", text, re.MULTILINE)
        rows = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{prefix}")]
        listed = [name for row in rows for name in re.findall(rf"`({prefix}\w+)`", row)]
        assert sorted(found) == sorted(listed)
    page = PAGE.read_text()
    for word in (*Drop, *State):
        assert f"`{word}`" in page, word


def test_no_alert_asks_for_a_metric_that_is_not_there() -> None:
    page = PAGE.read_text()
    rules = page.split("```yaml")[1].split("```")[0]
    tables = page.split("```yaml")[0]
    for name in re.findall(r"smcap_\w+", rules):
        assert f"`{name}`" in tables, name
