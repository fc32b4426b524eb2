"""The page for Prometheus: what gateways measured and what became of captured records.

    modeltap_invocations_total{endpoint, variant}
    modeltap_invocation_errors_total{endpoint, variant, kind}        4xx · 5xx · model
    modeltap_model_latency_microseconds{endpoint, variant}           histogram: ModelLatency
    modeltap_overhead_latency_microseconds{endpoint, variant}        histogram: OverheadLatency
    modeltap_capture_sampled_total · _delivered_total · _pending{endpoint, variant}
    modeltap_capture_dropped_total{endpoint, variant, reason}

Everything is read anew for each scrape, from the gateways' meters and from the spool: nothing is
gathered between scrapes. What failed before a variant was chosen has empty labels. A ledger that
cannot be read leaves the capture families out: unknown is not zero.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from modeltap.capture.account import account
from modeltap.capture.folder import SpoolFolder
from modeltap.errors import LedgerUnreadable
from modeltap.telemetry import meters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABELS = ("endpoint", "variant")
KINDS = {
    meters.Failure.CLIENT: "4xx",
    meters.Failure.SERVER: "5xx",
    meters.Failure.MODEL: "model",
}


def exposition(pages: int, spool: SpoolFolder) -> bytes:
    """Give the text, of the gateways' meters and of the spool. Blocks for the spool's files."""
    registry = CollectorRegistry()
    registry.register(_Invocations(pages))
    registry.register(_Capture(spool))
    return generate_latest(registry)


class _Invocations(Collector):
    def __init__(self, pages: int) -> None:
        self._pages = pages

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        measured = meters.read(self._pages)
        total = _counter("modeltap_invocations", "Invocations, whatever became of them")
        errors = _counter("modeltap_invocation_errors", "Invocations without an answer", "kind")
        model = _histogram("modeltap_model_latency_microseconds", "ModelLatency")
        overhead = _histogram("modeltap_overhead_latency_microseconds", "OverheadLatency")
        for variant, one in measured.items():
            total.add_metric(variant, sum(one.model.counts) + sum(one.failed))
            for kind, count in zip(KINDS.values(), one.failed, strict=True):
                errors.add_metric((*variant, kind), count)
            model.add_metric(variant, _buckets(one.model), one.model.sum)
            overhead.add_metric(variant, _buckets(one.overhead), one.overhead.sum)
        yield from (total, errors, model, overhead)


class _Capture(Collector):
    def __init__(self, spool: SpoolFolder) -> None:
        self._spool = spool

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        sampled = _counter("modeltap_capture_sampled", "Records that were sampled")
        delivered = _counter("modeltap_capture_delivered", "Records in the object store")
        dropped = _counter("modeltap_capture_dropped", "Records lost, each counted", "reason")
        pending = GaugeMetricFamily(
            "modeltap_capture_pending", "Records on their way", labels=LABELS
        )
        with suppress(LedgerUnreadable):
            for count in account(self._spool):
                variant = count.endpoint, count.variant
                sampled.add_metric(variant, count.sampled)
                delivered.add_metric(variant, count.delivered)
                pending.add_metric(variant, count.pending)
                for reason, lost in count.dropped.items():
                    dropped.add_metric((*variant, reason.value), lost)
            yield from (sampled, delivered, dropped, pending)


def _counter(name: str, text: str, *more: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=(*LABELS, *more))


def _histogram(name: str, text: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, labels=LABELS)


def _buckets(latency: meters.Latency) -> list[tuple[str, float]]:
    bounds = [str(1 << n) for n in range(meters.BUCKETS - 1)]
    return list(zip([*bounds, "+Inf"], accumulate(latency.counts), strict=True))
