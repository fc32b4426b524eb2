"""The pages of the metrics port: for Prometheus, and `/capturez` for people and programs.

    modeltap_invocations_total{endpoint, variant}
    modeltap_invocation_errors_total{endpoint, variant, kind}        4xx · 5xx · model
    modeltap_model_latency_microseconds{endpoint, variant}           histogram: ModelLatency
    modeltap_overhead_latency_microseconds{endpoint, variant}        histogram: OverheadLatency
    smcap_…                                                          capture: `docs/metrics.md`
    modeltap_monitor_…                                               the monitor: the same

Everything is counted anew for each scrape, from the gateways' meters, the rings and the spool; of
the spool's files only what is new is read (`capture/inventory.py`). What failed before a variant
was chosen has empty labels. A ledger that cannot be read leaves the capture families out, a state
database the monitor's: unknown is not zero.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from modeltap.capture.standing import Standing
from modeltap.control.capture_families import LABELS, CaptureFamilies, counter
from modeltap.control.monitor_families import MonitorFamilies
from modeltap.control.webhook import Webhook
from modeltap.control.webhook_families import WebhookFamilies
from modeltap.errors import LedgerUnreadable, StateUnusable
from modeltap.state.points import Points
from modeltap.telemetry import meters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Look = Callable[[], Standing]
"""Looks at capture; raises `LedgerUnreadable` or `OSError` where it cannot."""

KINDS = {
    meters.Failure.CLIENT: "4xx",
    meters.Failure.SERVER: "5xx",
    meters.Failure.MODEL: "model",
}


def exposition(
    pages: int, look: Look, points: Points, now_ns: int, webhooks: Sequence[Webhook] = ()
) -> bytes:
    """Give the text, of the gateways' meters, capture and the monitor. Blocks for files."""
    registry = CollectorRegistry()
    registry.register(_Invocations(pages))
    with suppress(LedgerUnreadable, OSError):
        registry.register(CaptureFamilies(look(), now_ns))
    with suppress(StateUnusable):
        registry.register(MonitorFamilies(points))
        for webhook in webhooks:
            registry.register(WebhookFamilies(webhook))
    return generate_latest(registry)


class _Invocations(Collector):
    def __init__(self, pages: int) -> None:
        self._pages = pages

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        measured = meters.read(self._pages)
        total = counter("modeltap_invocations", "Invocations, whatever became of them")
        errors = counter("modeltap_invocation_errors", "Invocations without an answer", "kind")
        model = _histogram("modeltap_model_latency_microseconds", "ModelLatency")
        overhead = _histogram("modeltap_overhead_latency_microseconds", "OverheadLatency")
        for variant, one in measured.items():
            total.add_metric(variant, sum(one.model.counts) + sum(one.failed))
            for kind, count in zip(KINDS.values(), one.failed, strict=True):
                errors.add_metric((*variant, kind), count)
            model.add_metric(variant, _buckets(one.model), one.model.sum)
            overhead.add_metric(variant, _buckets(one.overhead), one.overhead.sum)
        yield from (total, errors, model, overhead)


def _histogram(name: str, text: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, labels=LABELS)


def _buckets(latency: meters.Latency) -> list[tuple[str, float]]:
    bounds = [str(1 << n) for n in range(meters.BUCKETS - 1)]
    return list(zip([*bounds, "+Inf"], accumulate(latency.counts), strict=True))
