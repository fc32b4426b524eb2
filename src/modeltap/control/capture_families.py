"""Capture's metrics (`docs/metrics.md`; names: reliability §5), from one look at it."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from modeltap.capture.account import Count
from modeltap.capture.outcome import Outcome
from modeltap.capture.standing import Standing, State

LABELS = ("endpoint", "variant")

_COUNTERS = {
    "eligible": "Answers that a plan would capture, sampled or not",
    "not_sampled": "Eligible answers that the sampling passed over",
    "sampled": "Records that were sampled",
    "delivered": "Records in the object store",
    "late_durable": "Answers that were due before their record was durable",
}
_GAUGES = {
    "pending_records": "Records on their way",
    "pending_bytes": "Bytes of segments on disk",
    "accounting_discrepancy": "Records without a fate: must be 0",
    "effective_sampling_ratio": "Sampled of the eligible",
}


class CaptureFamilies(Collector):
    """All families of one look."""

    def __init__(self, standing: Standing, now_ns: int) -> None:
        self._standing = standing
        self._now_ns = now_ns

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        if self._standing.counts:
            yield from self._variants()
            yield self._dropped()
            yield self._oldest()
        yield from self._house()
        yield from self._puts()

    def _variants(self) -> Iterator[Metric]:
        for name, text in _COUNTERS.items():
            family: CounterMetricFamily | GaugeMetricFamily = counter(f"smcap_{name}", text)
            for count in self._standing.counts:
                family.add_metric((count.endpoint, count.variant), _counted(count)[name])
            yield family
        for name, text in _GAUGES.items():
            family = GaugeMetricFamily(f"smcap_{name}", text, labels=LABELS)
            for count in self._standing.counts:
                family.add_metric((count.endpoint, count.variant), _gauged(count)[name])
            yield family

    def _dropped(self) -> Metric:
        family = counter("smcap_dropped", "Records lost, each counted", "reason")
        for count in self._standing.counts:
            for reason, lost in count.dropped.items():
                family.add_metric((count.endpoint, count.variant, reason.value), lost)
        return family

    def _oldest(self) -> Metric:
        text = "Age of the oldest record that is on disk and not delivered"
        family = GaugeMetricFamily("smcap_oldest_pending_seconds", text, labels=LABELS)
        for variant, oldest_ns in self._standing.oldest_ns.items():
            family.add_metric(variant, max(0, self._now_ns - oldest_ns) / 1e9)
        return family

    def _house(self) -> Iterator[Metric]:
        standing = self._standing
        state = GaugeMetricFamily("smcap_state", "1 for the state it is in", labels=("state",))
        for each in State:
            state.add_metric((each.value,), each is standing.state)
        segments = GaugeMetricFamily("smcap_segments", "Segments on disk", labels=("state",))
        for name in ("open", "sealed"):
            segments.add_metric((name,), standing.segments[name])
        yield state
        yield segments
        yield gauge("quarantined_segments", "Put aside", standing.segments["quarantined"])
        ratio = standing.used_percent / 100
        yield gauge("spool_disk_used_ratio", "Of the spool's file system, as df tells it", ratio)
        yield gauge("spool_free_bytes", "Of the spool's file system", standing.free_bytes)

    def _puts(self) -> Iterator[Metric]:
        puts = self._standing.puts
        total = CounterMetricFamily("smcap_put", "PUTs by what they came to", labels=("outcome",))
        for outcome, count in puts.outcomes.items():
            total.add_metric((outcome.value,), count)
        conflicts = puts.outcomes.get(Outcome.KEY_TAKEN, 0)
        text = "Keys that were taken by another object"
        yield total
        yield CounterMetricFamily("smcap_put_conflicts", text, value=conflicts)
        text = "1 where every destination knows conditional PUTs"
        yield gauge("conditional_put", text, not puts.unconditional)
        yield gauge("destinations_waiting", "Destinations that take nothing", len(puts.waiting))


def counter(name: str, text: str, *more: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=(*LABELS, *more))


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"smcap_{name}", text, value=value)


def _counted(count: Count) -> dict[str, int]:
    return {
        "eligible": count.eligible,
        "not_sampled": count.eligible - count.sampled,
        "sampled": count.sampled,
        "delivered": count.delivered,
        "late_durable": count.late,
    }


def _gauged(count: Count) -> dict[str, float]:
    return {
        "pending_records": count.pending,
        "pending_bytes": count.pending_bytes,
        "accounting_discrepancy": count.discrepancy,
        "effective_sampling_ratio": count.sampled / count.eligible if count.eligible else 0.0,
    }
