"""What the monitor has measured, for Prometheus: the latest run of every schedule (contract §4.11).

    modeltap_monitor_feature_baseline_drift{endpoint, schedule, feature}
    modeltap_monitor_feature_non_null{endpoint, schedule, feature}

Read from the points that the runs have left. A run's points have one time, so a feature that the
latest run did not measure is not there. A run over a batch has no endpoint: the label is empty.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from modeltap.control.metric_files import BATCH_NAMESPACE, ENDPOINT_NAMESPACE
from modeltap.state.points import Listed, Points, StatisticSet

LABELS = ("endpoint", "schedule", "feature")
FAMILIES = {
    "feature_baseline_drift_": (
        "modeltap_monitor_feature_baseline_drift",
        "Distance of a feature from its baseline, in the latest run",
    ),
    "feature_non_null_": (
        "modeltap_monitor_feature_non_null",
        "Share of values that are not missing, in the latest run",
    ),
}


class MonitorFamilies(Collector):
    def __init__(self, points: Points) -> None:
        """Look at the points. Raise `StateUnusable`."""
        namespaces = (ENDPOINT_NAMESPACE, BATCH_NAMESPACE)
        self._newest = [each for namespace in namespaces for each in points.newest(namespace)]

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        latest = _latest(self._newest)
        for prefix, (name, text) in FAMILIES.items():
            family = GaugeMetricFamily(name, text, labels=LABELS)
            for listed, values in self._newest:
                of = _of(listed)
                if listed.metric.name.startswith(prefix) and listed.latest == latest[of]:
                    feature = listed.metric.name.removeprefix(prefix)
                    family.add_metric((*of, feature), values.value("Average"))
            yield family


def _of(listed: Listed) -> tuple[str, str]:
    """Give endpoint and schedule of a metric."""
    dimensions = dict(listed.metric.dimensions)
    return dimensions.get("Endpoint", ""), dimensions.get("MonitoringSchedule", "")


def _latest(newest: list[tuple[Listed, StatisticSet]]) -> dict[tuple[str, str], int]:
    """Give the minute of the latest run of each endpoint and schedule."""
    latest: dict[tuple[str, str], int] = {}
    for listed, _ in newest:
        of = _of(listed)
        latest[of] = max(listed.latest, latest.get(of, listed.latest))
    return latest
